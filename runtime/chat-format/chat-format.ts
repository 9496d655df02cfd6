/**
 * What chat needs to know of a model family: how it writes thinking and tool calls, and how its
 * template is told to think. One file per family implements it; which one a model has is detected
 * (detect.ts). Refuses nothing: what does not fit a family's syntax is content, word for word.
 */
import type { StructuralFormat } from "../constraint/structural-tag.ts";
import type { TemplateMessage } from "./template-message.ts";

/**
 * `plain` has neither thinking nor calls, `think` thinks in tags and calls nothing. `hermes` calls, `qwen3`
 * calls the same way and thinks; `mistral` calls in lists, `mistral-v11` one by one, and `magistral` thinks too.
 */
export const CHAT_FORMATS = [
  "plain",
  "think",
  "hermes",
  "qwen3",
  "qwen3-coder",
  "llama3",
  "mistral",
  "mistral-v11",
  "magistral",
  "gpt-oss",
] as const;

export type ChatFormatName = (typeof CHAT_FORMATS)[number];

/** `none` asks for no thinking at all, the others for some. */
export type ReasoningEffort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";

export interface ChatFormat {
  readonly name: ChatFormatName;
  /** Absent where the family does not think. */
  readonly thinking?: ThinkingSyntax;
  /** Absent where its calls are not known. */
  readonly calls?: CallSyntax;
  /** Its markers may be special tokens: decode with `skipSpecialTokens: false`, end tokens left out. */
  readonly readsSpecialTokens: boolean;
  /** Texts of its syntax, each a token of its own in the family's vocabularies. */
  readonly markers: readonly string[];
  /** The rendered prompt ends inside an open thinking block, so the answer begins there. */
  startsThinking(prompt: string): boolean;
  /** Variables that tell the template how much to think; none where it has no such variable. */
  templateVariables(options: {
    readonly reasoningEffort?: ReasoningEffort;
  }): Readonly<Record<string, unknown>>;
  /** What its template needs that others do not: e.g. one call per message. */
  templateMessages?(messages: readonly TemplateMessage[]): TemplateMessage[];
  parser(options: ParserOptions): AnswerParser;
}

export interface ThinkingSyntax {
  /** What begins a block of thinking in the text. */
  readonly open: string;
  /** What ends it. */
  readonly close: string;
  /** To be forced where a budget ends thinking: closes it and leads to the answer. */
  readonly cut: string;
  /** The same where a call comes next, or where the model is to choose. */
  readonly cutToCall: string;
}

/** `open`, then calls with `separator` between them, then `close`; a call is `begin`, its arguments, `end`. */
export interface CallSyntax {
  /** In free words it announces a call: `begin` starts with it, or `open` does. */
  readonly trigger: string;
  readonly open: string;
  readonly close: string;
  /** Absent where there is one call per answer. */
  readonly separator?: string;
  begin(name: string): string;
  readonly end: string;
  /** Where arguments are not JSON: as a constraint, by their schema, and for any. */
  argumentsOf?(schema: object): StructuralFormat;
  readonly anyArguments?: StructuralFormat;
}

export interface ParserOptions {
  /** Calls are looked for. Without, they are content. */
  readonly tools: boolean;
  /** The prompt already ends inside an open thinking block. */
  readonly startsThinking: boolean;
  /** JSON schemas of arguments by the tool's name, for families that do not write them as JSON. */
  readonly schemas?: ReadonlyMap<string, object>;
}

/** Of one answer. The parts of any cut of a text into pieces say the same when joined. */
export interface AnswerParser {
  /** What is certain by now; only what may begin a marker is held. */
  push(text: string): AnswerPart[];
  /** The rest, at the end of the text, wherever that is. */
  flush(): AnswerPart[];
}

export type AnswerPart =
  | { readonly type: "content"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call begins; `index` counts the answer's calls from 0. */
  | {
      readonly type: "tool_call";
      readonly index: number;
      readonly id: string;
      readonly name: string;
    }
  /** More of a call's arguments: JSON as the model writes it, unfinished where the answer is. */
  | { readonly type: "tool_arguments"; readonly index: number; readonly text: string };
