/**
 * Tools of a request: which the template shows, which may be called, and whether one must be. Refuses
 * by index and field what is no function, and choices that no tool fits.
 */
import { refuse } from "../request.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface FunctionTool {
  readonly name: string;
  /** JSON schema of its arguments; without one it takes none. */
  readonly parameters: object;
  /** Arguments must fit the schema, whatever the choice. */
  readonly strict: boolean;
  /** As templates take it. */
  readonly template: { readonly type: "function"; readonly function: object };
}

export interface ToolUse {
  /** For the template; absent where none are shown, and then calls are not looked for either. */
  readonly shown?: readonly object[];
  readonly callable: readonly FunctionTool[];
  /** The answer is a call. */
  readonly required: boolean;
  /** At most one. */
  readonly single: boolean;
}

export interface ToolRequest {
  readonly tools?: unknown;
  readonly tool_choice?: unknown;
  readonly parallel_tool_calls?: unknown;
}

const NO_PARAMETERS = { type: "object", properties: {}, additionalProperties: false };

/** @throws {WeftError} `bad_request`. */
export function toolUse({
  tools: given,
  tool_choice: choice,
  parallel_tool_calls: parallel,
}: ToolRequest): ToolUse {
  const tools = checkTools(given);
  if (parallel != null && typeof parallel !== "boolean") {
    refuse("parallel_tool_calls", parallel, "true or false");
  }
  const single = parallel === false;
  const mode = checkChoice(choice);
  const named = mode.names?.map((name) => {
    const tool = tools.find((one) => one.name === name);
    return tool ?? refuse("tool_choice", name, "the name of one of the tools");
  });
  if (mode.required && tools.length === 0) {
    refuse("tool_choice", choice, "none or auto where the request has no tools");
  }
  if (tools.length === 0 || mode.none) return { callable: [], required: false, single };
  // One that is named is chosen among all; allowed ones are all there are.
  const shown = mode.one ? tools : (named ?? tools);
  return {
    shown: shown.map(({ template }) => template),
    callable: named ?? tools,
    required: mode.required,
    single: single || mode.one,
  };
}

function checkTools(tools: unknown): FunctionTool[] {
  if (tools == null) return [];
  if (!Array.isArray(tools)) refuse("tools", tools, "a list of functions");
  const checked = tools.map((tool: unknown, i) => checkTool(tool, `tools[${i}]`));
  checked.forEach(({ name }, i) => {
    if (checked.findIndex((tool) => tool.name === name) < i) {
      refuse(`tools[${i}].function.name`, name, "another than those of the tools before it");
    }
  });
  return checked;
}

function checkTool(tool: unknown, at: string): FunctionTool {
  if (!isObject(tool)) refuse(at, tool, '{ type: "function", function: { name, parameters } }');
  if (tool.type !== "function") refuse(`${at}.type`, tool.type, "function");
  if (!isObject(tool.function)) refuse(`${at}.function`, tool.function, "an object with a name");
  const { strict, ...shown } = tool.function;
  const { name, description, parameters } = shown;
  if (typeof name !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
    refuse(`${at}.function.name`, name, "1 to 64 letters, digits, underscores or dashes");
  }
  if (description != null && typeof description !== "string") {
    refuse(`${at}.function.description`, description, "a text");
  }
  if (parameters != null && !isObject(parameters)) {
    refuse(`${at}.function.parameters`, parameters, "a JSON schema of an object");
  }
  if (isObject(parameters) && parameters.type !== undefined && parameters.type !== "object") {
    refuse(`${at}.function.parameters.type`, parameters.type, "object");
  }
  if (strict != null && typeof strict !== "boolean") {
    refuse(`${at}.function.strict`, strict, "true or false");
  }
  const fields = Object.entries(shown).filter(([, value]) => value !== null);
  return {
    name,
    parameters: isObject(parameters) ? objectSchema(parameters) : NO_PARAMETERS,
    strict: strict === true,
    template: { type: "function", function: Object.fromEntries(fields) },
  };
}

/** Said in full: any object, where a schema names no properties and forbids none. */
const objectSchema = (schema: Fields): object => ({
  ...(!("properties" in schema) && { additionalProperties: true }),
  ...schema,
  type: "object",
});

interface Choice {
  readonly none: boolean;
  readonly required: boolean;
  /** Of tools that may be called; undefined: all. */
  readonly names?: readonly unknown[];
  /** One tool is named, and called once. */
  readonly one: boolean;
}

function checkChoice(choice: unknown): Choice {
  const open = { none: false, required: false, one: false };
  if (choice == null || choice === "auto") return open;
  if (choice === "none") return { ...open, none: true };
  if (choice === "required") return { ...open, required: true };
  const { type, function: named, allowed_tools: allowed } = isObject(choice) ? choice : {};
  if (type === "function" && isObject(named)) {
    return { ...open, required: true, names: [named.name], one: true };
  }
  if (type === "allowed_tools" && isObject(allowed) && Array.isArray(allowed.tools)) {
    if (allowed.mode !== "auto" && allowed.mode !== "required") {
      refuse("tool_choice.allowed_tools.mode", allowed.mode, "auto or required");
    }
    const names = allowed.tools.map((tool: unknown) =>
      isObject(tool) && isObject(tool.function) ? tool.function.name : tool,
    );
    return { ...open, required: allowed.mode === "required", names };
  }
  return refuse(
    "tool_choice",
    choice,
    'none, auto, required, { type: "function", function: { name } } or ' +
      '{ type: "allowed_tools", allowed_tools: { mode, tools } }',
  );
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
