/**
 * What a choice of tools asks of an answer, in the words of the model's family: that it is a call, or that
 * calls in it fit the tools. Holds for what comes behind thinking (`ThinkingSyntax.cutToCall`).
 */
import type { ConstraintSpec } from "../constraint/constraint.ts";
import type {
  StructuralConstraint,
  StructuralFormat,
  StructuralTag,
} from "../constraint/structural-tag.ts";
import { refuse } from "../request.ts";
import type { CallSyntax, ChatFormat } from "./chat-format.ts";
import { structuralFormat } from "./structural-format.ts";
import type { FunctionTool, ToolUse } from "./tools.ts";

/** Arguments of tools that are not strict, where they may be anything. */
const ANY_ARGUMENTS: StructuralFormat = {
  type: "json_schema",
  json_schema: { type: "object", additionalProperties: true },
};

/**
 * Undefined where the answer may say what it likes, or is held to `answer` alone.
 * @param answer What an answer that calls nothing is held to.
 * @throws {WeftError} `bad_request`: a call is required of a family that has none.
 */
export function callConstraint(
  use: ToolUse,
  format: ChatFormat,
  answer?: ConstraintSpec,
): StructuralConstraint | undefined {
  const { calls } = format;
  if (calls && answer && use.shown && !use.required) return either(use, calls, format, answer);
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
  return {
    type: "structural_tag",
    format: use.required ? wholeCalls(use, calls) : callsInWords(use, calls),
    specialTokens: format.markers,
  };
}

/** Calls, or the answer: with the words before it that `cut` has and `cutToCall` has not. */
function either(
  use: ToolUse,
  calls: CallSyntax,
  { thinking, markers }: ChatFormat,
  answer: ConstraintSpec,
): StructuralConstraint {
  const lead = thinking?.cut.slice(thinking.cutToCall.length) ?? "";
  const said: StructuralTag = {
    type: "tag",
    begin: lead,
    content: structuralFormat(answer),
    end: "",
  };
  // Choices must all be lists, or all none, or it does not compile: the answer is a list of one.
  const elements = [wholeCalls(use, calls), calls.close ? said : listOfTags([said], "\n", true)];
  return {
    type: "structural_tag",
    format: { type: "or", elements },
    specialTokens: markers,
  };
}

function wholeCalls(use: ToolUse, syntax: CallSyntax): StructuralFormat {
  const { open, close } = syntax;
  const list = listOf(use, syntax, (tool) => contentOf(syntax, tool.parameters));
  // A list compiles in a tag that ends, and behind words, but not between words.
  if (close) return { type: "tag", begin: open, content: list, end: close };
  if (!open) return list;
  return { type: "sequence", elements: [{ type: "const_string", value: open }, list] };
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
): StructuralFormat =>
  listOfTags(
    use.callable.map((tool) => tagOf(syntax, tool, content(tool))),
    syntax.separator ?? "\n",
    use.single || syntax.separator === undefined,
  );

const listOfTags = (
  tags: readonly StructuralTag[],
  separator: string,
  onlyOne: boolean,
): StructuralFormat => ({
  type: "tags_with_separator",
  separator,
  tags,
  at_least_one: true,
  stop_after_first: onlyOne,
});

const tagOf = (
  syntax: CallSyntax,
  { name }: FunctionTool,
  content: StructuralFormat,
): StructuralTag => ({ type: "tag", begin: syntax.begin(name), content, end: syntax.end });

const contentOf = ({ argumentsOf }: CallSyntax, parameters: object): StructuralFormat =>
  argumentsOf?.(parameters) ?? { type: "json_schema", json_schema: parameters };

const isStrict = ({ strict }: FunctionTool) => strict;
