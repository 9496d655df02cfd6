/** Messages and tools in the one shape that every chat template is given. Plain data. */

export interface TemplateMessage {
  readonly role: string;
  /** Text; "" where there is none. Absent only with a role of the template's own. */
  readonly content?: string;
  readonly name?: string;
  /** Absent, never empty or null: templates ask whether it is there. */
  readonly tool_calls?: readonly TemplateCall[];
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
  /** What only this model's template knows. */
  readonly [field: string]: unknown;
}

export interface TemplateCall {
  readonly id?: string;
  readonly type: "function";
  readonly function: {
    readonly name: string;
    /** An object, since templates write it as JSON; the text itself where that is no object's JSON. */
    readonly arguments: object | string;
  };
}
