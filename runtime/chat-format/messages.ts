/**
 * OpenAI's messages to those that templates take. Refuses what no template could mean, by index and
 * field; roles it does not know are the template's to judge, and so are fields that are not OpenAI's.
 */
import { refuse } from "../request.ts";
import { parsed } from "./json-reader.ts";
import type { TemplateCall, TemplateMessage } from "./template-message.ts";

type Fields = Readonly<Record<string, unknown>>;

/** OpenAI's fields of an answer that say nothing to a template, or are added in its shape. */
const LEFT_OUT = ["refusal", "audio", "annotations", "function_call", "tool_calls"];

/** @throws {WeftError} `bad_request`. */
export function normaliseMessages(messages: unknown): TemplateMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    refuse("messages", messages, "a list with at least one { role: 'user', content: '…' }");
  }
  /** Names of tools by the id of the call. */
  const calls = new Map<string, string>();
  return messages.map((message: unknown, i) => normaliseMessage(message, `messages[${i}]`, calls));
}

function normaliseMessage(
  message: unknown,
  at: string,
  calls: Map<string, string>,
): TemplateMessage {
  if (!isObject(message)) refuse(at, message, "an object with a role");
  const { role, content } = message;
  if (typeof role !== "string" || role === "") {
    refuse(`${at}.role`, role, "system, developer, user, assistant or tool");
  }
  const given = Object.entries(message).filter(
    ([field, value]) => value !== null && value !== undefined && !LEFT_OUT.includes(field),
  );
  const rest = Object.fromEntries(given);
  for (const field of ["name", "reasoning_content"]) {
    if (rest[field] !== undefined && typeof rest[field] !== "string") {
      refuse(`${at}.${field}`, rest[field], "a text");
    }
  }
  switch (role) {
    case "system":
    case "developer":
    case "user":
      return { ...rest, role: role === "user" ? role : "system", content: textOf(content, at) };
    case "assistant":
      return { ...rest, ...assistant(message, at, calls) };
    case "tool":
      return { ...rest, ...toolResult(message, at, calls) };
    default:
      return content == null ? { ...rest, role } : { ...rest, role, content: textOf(content, at) };
  }
}

function assistant(message: Fields, at: string, calls: Map<string, string>): TemplateMessage {
  const { content, refusal, tool_calls: toolCalls } = message;
  if (message.audio != null) refuse(`${at}.audio`, message.audio, "left out: texts alone are read");
  if (message.function_call != null) {
    refuse(`${at}.function_call`, message.function_call, "left out: use tool_calls");
  }
  if (refusal != null && typeof refusal !== "string") refuse(`${at}.refusal`, refusal, "a text");
  const text = content == null ? (refusal ?? "") : textOf(content, at);
  const said = { role: "assistant", content: text };
  if (toolCalls == null) return said;
  if (!Array.isArray(toolCalls)) refuse(`${at}.tool_calls`, toolCalls, "a list of calls");
  const normalised = toolCalls.map((call: unknown, i) =>
    normaliseCall(call, `${at}.tool_calls[${i}]`),
  );
  for (const { id, function: called } of normalised) if (id) calls.set(id, called.name);
  return normalised.length > 0 ? { ...said, tool_calls: normalised } : said;
}

function normaliseCall(call: unknown, at: string): TemplateCall {
  if (!isObject(call)) refuse(at, call, "an object with a function");
  const { id, type, function: called } = call;
  if (type != null && type !== "function") refuse(`${at}.type`, type, "function");
  if (id != null && typeof id !== "string") refuse(`${at}.id`, id, "a text");
  if (!isObject(called)) refuse(`${at}.function`, called, "an object with name and arguments");
  const { name, arguments: given } = called;
  if (typeof name !== "string" || name === "") {
    refuse(`${at}.function.name`, name, "the name of a function");
  }
  const args = argumentsOf(given, `${at}.function.arguments`);
  return { ...(id && { id }), type: "function", function: { name, arguments: args } };
}

/** What a model wrote and was not JSON stays as it is: the conversation must be able to go on. */
function argumentsOf(given: unknown, at: string): object | string {
  if (given == null || given === "") return {};
  if (isObject(given)) return given;
  if (typeof given !== "string") refuse(at, given, "the JSON of an object, as a text");
  const value = parsed(given);
  return isObject(value) ? value : given;
}

function toolResult(
  message: Fields,
  at: string,
  calls: ReadonlyMap<string, string>,
): TemplateMessage {
  const { tool_call_id: id, name } = message;
  const content = textOf(message.content, at);
  if (id == null) return { role: "tool", content };
  const called = typeof id === "string" ? calls.get(id) : undefined;
  if (typeof id !== "string" || called === undefined) {
    refuse(`${at}.tool_call_id`, id, "the id of a call in an earlier message of the assistant");
  }
  return { role: "tool", content, tool_call_id: id, name: name == null ? called : String(name) };
}

/** Parts are joined by line breaks, as vLLM and llama.cpp join them. */
function textOf(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) refuse(`${at}.content`, content, "a text or a list of text parts");
  return content.map((part: unknown, i) => partText(part, `${at}.content[${i}]`)).join("\n");
}

function partText(part: unknown, at: string): string {
  if (!isObject(part)) refuse(at, part, '{ type: "text", text: "…" }');
  const { type } = part;
  if (type !== "text" && type !== "refusal") {
    refuse(`${at}.type`, type, "text: this engine reads neither images, sounds nor files");
  }
  const text = part[type];
  if (typeof text !== "string") refuse(`${at}.${type}`, text, "a text");
  return text;
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
