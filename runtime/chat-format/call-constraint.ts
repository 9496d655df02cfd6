/**
 * Constraints in the words of a family: that an answer calls a tool, with arguments that fit its schema, or
 * that what it says behind its thinking is in a form. Thinking stays free, and may be left out.
 */
import type {
  StructuralConstraint,
  StructuralFormat,
  StructuralTag,
} from "../constraint/structural-tag.ts";
import { refuse } from "../request.ts";
import type { CallSyntax, ChatFormat } from "./chat-format.ts";
import type { FunctionTool, ToolUse } from "./tools.ts";

interface AnswerStart {
  readonly startsThinking: boolean;
}

/** Arguments of tools that are not strict, where they may be anything. */
const ANY_ARGUMENTS: StructuralFormat = {
  type: "json_schema",
  json_schema: { type: "object", additionalProperties: true },
};

/** An empty `const_string` does not compile. */
const NOTHING: StructuralFormat = { type: "regex", pattern: "()" };

/**
 * What the choice of tools asks of the answer; undefined where it may say what it likes.
 * @throws {WeftError} `bad_request`: a call is required of a family that has none.
 */
export function callConstraint(
  use: ToolUse,
  format: ChatFormat,
  start: AnswerStart,
): StructuralConstraint | undefined {
  const { calls } = format;
  const wanted = use.required || (use.shown && use.single) || use.callable.some(isStrict);
  if (!wanted) return undefined;
  if (!calls) {
    if (!use.required && !use.callable.some(isStrict)) return undefined;
    refuse(
      use.required ? "tool_choice" : "tools",
      use.required ? "required" : "strict",
      `${use.required ? "auto or none" : "without strict"} with this model, whose way of calling ` +
        `tools is not known (chat format ${format.name})`,
    );
  }
  const body = use.required
    ? [...leadingSpace(format), ...wholeCalls(use, calls)]
    : [callsInWords(use, calls)];
  return constraint(format, [...thinking(format, start), ...body]);
}

/** Holds what the answer says to a form, behind thinking and whatever else the family writes before it. */
export function answerConstraint(
  answer: StructuralFormat,
  format: ChatFormat,
  start: AnswerStart,
): StructuralConstraint {
  const { answerOpen: open } = format;
  return constraint(format, [
    ...thinking(format, start),
    ...leadingSpace(format),
    ...(open ? [{ type: "const_string", value: open } as const] : []),
    answer,
  ]);
}

function constraint(format: ChatFormat, elements: StructuralFormat[]): StructuralConstraint {
  return {
    type: "structural_tag",
    format: elements.length === 1 ? elements[0] : { type: "sequence", elements },
    specialTokens: format.markers,
  };
}

/** A block of thinking as far as it is not written yet, or none. */
function thinking(
  { thinking: syntax }: ChatFormat,
  { startsThinking }: AnswerStart,
): StructuralFormat[] {
  if (!syntax) return [];
  const begin = startsThinking ? "" : syntax.open;
  const block: StructuralFormat[] = [
    { type: "tag", begin, content: { type: "any_text" }, end: syntax.close },
    ...(syntax.resume ? [{ type: "const_string", value: syntax.resume } as const] : []),
  ];
  if (startsThinking) return block;
  return [{ type: "or", elements: [{ type: "sequence", elements: block }, NOTHING] }];
}

/** Line breaks that models write behind thinking. */
const leadingSpace = ({ thinking }: ChatFormat): StructuralFormat[] =>
  thinking && !thinking.resume ? [{ type: "regex", pattern: "[ \\n]{0,2}" }] : [];

function wholeCalls(use: ToolUse, syntax: CallSyntax): StructuralFormat[] {
  const { open, close } = syntax;
  const list = listOf(use, syntax, (tool) => contentOf(syntax, tool.parameters));
  // A list compiles in a tag that ends, and behind words, but not between words.
  if (close) return [{ type: "tag", begin: open, content: list, end: close }];
  return open ? [{ type: "const_string", value: open }, list] : [list];
}

function callsInWords(use: ToolUse, syntax: CallSyntax): StructuralFormat {
  const { open, close, trigger } = syntax;
  const content = (tool: FunctionTool) =>
    tool.strict ? contentOf(syntax, tool.parameters) : (syntax.anyArguments ?? ANY_ARGUMENTS);
  const tags: StructuralTag[] = close
    ? [{ type: "tag", begin: open, content: listOf(use, syntax, content), end: close }]
    : use.callable.map((tool) => {
        const one = tagOf(syntax, tool, content(tool));
        return one.begin.startsWith(trigger) ? one : { ...one, begin: open + one.begin };
      });
  return {
    type: "triggered_tags",
    triggers: [trigger],
    tags,
    stop_after_first: use.single || syntax.separator === undefined,
  };
}

const listOf = (
  use: ToolUse,
  syntax: CallSyntax,
  content: (tool: FunctionTool) => StructuralFormat,
): StructuralFormat => ({
  type: "tags_with_separator",
  separator: syntax.separator ?? "\n",
  tags: use.callable.map((tool) => tagOf(syntax, tool, content(tool))),
  at_least_one: true,
  stop_after_first: use.single || syntax.separator === undefined,
});

const tagOf = (
  syntax: CallSyntax,
  { name }: FunctionTool,
  content: StructuralFormat,
): StructuralTag => ({ type: "tag", begin: syntax.begin(name), content, end: syntax.end });

const contentOf = ({ argumentsOf }: CallSyntax, parameters: object): StructuralFormat =>
  argumentsOf?.(parameters) ?? { type: "json_schema", json_schema: parameters };

const isStrict = ({ strict }: FunctionTool) => strict;
