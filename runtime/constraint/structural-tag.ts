/**
 * Text in which JSON and free words stand between words that are given: what xgrammar calls a structural
 * tag, in its own words, as much of it as calls need. Plain data. What is written is kept to what xgrammar
 * itself compiles, so that tests can ask it: no empty `const_string` or `separator`, no words behind
 * `tags_with_separator` but those that end a tag, no `or` of such lists and others (0.1.27, by trial).
 */

export type StructuralFormat =
  | { readonly type: "const_string"; readonly value: string }
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "grammar"; readonly grammar: string }
  | { readonly type: "json_schema"; readonly json_schema: object | boolean }
  /** Anything up to the end of the tag that it is the content of. */
  | { readonly type: "any_text" }
  | { readonly type: "sequence"; readonly elements: readonly StructuralFormat[] }
  | { readonly type: "or"; readonly elements: readonly StructuralFormat[] }
  | StructuralTag
  | {
      readonly type: "tags_with_separator";
      readonly separator: string;
      readonly tags: readonly StructuralTag[];
      readonly at_least_one: boolean;
      readonly stop_after_first: boolean;
    }
  /** Free words, until one of the triggers is said: then one of the tags that begin with it follows. */
  | {
      readonly type: "triggered_tags";
      readonly triggers: readonly string[];
      readonly tags: readonly StructuralTag[];
      readonly stop_after_first: boolean;
    };

export interface StructuralTag {
  readonly type: "tag";
  readonly begin: string;
  readonly content: StructuralFormat;
  readonly end: string;
}

/** What an answer is held to. */
export interface StructuralConstraint {
  readonly type: "structural_tag";
  readonly format: StructuralFormat;
  /** Special tokens that are part of the text: the others are never allowed. */
  readonly specialTokens: readonly string[];
}
