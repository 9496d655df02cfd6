/**
 * One prompt's way to its answer: the model speaks, calls tools, hears what they say, and speaks again. Owns
 * the rounds; what is remembered of them is the session's.
 */
import type { ChatCompletionRequest, ChatMessage, ChatToolCall, EngineApi } from "../../worker.ts";
import { domError } from "./dom-errors.ts";

export interface PromptTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of what `execute` is given, an object. */
  readonly inputSchema: object;
  execute(input: unknown): Promise<string> | string;
}

/** @throws {TypeError} as browsers do, when a session is created. */
export function checkTools(tools: readonly PromptTool[]): void {
  for (const { name, description, inputSchema, execute } of tools) {
    const isWhole = typeof name === "string" && typeof description === "string";
    if (isWhole && Object(inputSchema) === inputSchema && typeof execute === "function") continue;
    throw new TypeError(
      `the tool ${name} lacks something; a tool has name, description, inputSchema and execute`,
    );
  }
}

export interface Answered {
  /** What was said to the caller, all rounds together. */
  readonly text: string;
  /** What to remember: calls, what came of them, and the answer. */
  readonly messages: readonly ChatMessage[];
  /** Tokens of the context that are used now, if the engine has told. */
  readonly contextTokens: number | undefined;
}

/** Rounds of calls for one prompt; a model that goes on calling would never answer. */
const MOST_ROUNDS = 16;

/**
 * @param onText What is said, as it is said.
 * @throws {WeftError}, and what a tool throws.
 */
export async function answer(
  engine: EngineApi,
  request: ChatCompletionRequest,
  tools: readonly PromptTool[],
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<Answered> {
  const added: ChatMessage[] = [];
  let text = "";
  for (let round = 0; ; round++) {
    const messages = [...request.messages, ...added];
    const said = await speak(engine, { ...request, messages }, onText, signal);
    text += said.text;
    const { calls, contextTokens } = said;
    if (calls.length === 0) {
      added.push({ role: "assistant", content: said.text });
      return { text, messages: added, contextTokens };
    }
    if (round === MOST_ROUNDS) {
      const message = `the model called tools ${round} times and did not answer; ask for less, or offer fewer tools`;
      throw domError("OperationError", message);
    }
    added.push({ role: "assistant", content: said.text || null, tool_calls: calls });
    for (const call of calls) added.push(await result(call, tools, signal));
  }
}

async function speak(
  engine: EngineApi,
  request: ChatCompletionRequest,
  onText: (text: string) => void,
  signal: AbortSignal,
) {
  const streaming = { stream: true, stream_options: { include_usage: true } } as const;
  const chunks = await engine.chat.completions.create({ ...request, ...streaming }, { signal });
  const calls: { id: string; name: string; arguments: string }[] = [];
  let text = "";
  let contextTokens: number | undefined;
  for await (const { choices, usage } of chunks) {
    const { delta } = choices.at(0) ?? {};
    if (delta?.content) onText(delta.content);
    text += delta?.content ?? "";
    for (const { index, id, function: called } of delta?.tool_calls ?? []) {
      calls[index] ??= { id: id ?? `call_${index}`, name: called.name ?? "", arguments: "" };
      calls[index].arguments += called.arguments ?? "";
    }
    contextTokens = usage?.total_tokens ?? contextTokens;
  }
  return { text, calls: calls.filter(Boolean).map(toolCall), contextTokens };
}

const toolCall = ({
  id,
  ...called
}: {
  id: string;
  name: string;
  arguments: string;
}): ChatToolCall => ({ id, type: "function", function: called });

async function result(
  { id, function: called }: ChatToolCall,
  tools: readonly PromptTool[],
  signal: AbortSignal,
): Promise<ChatMessage> {
  const tool = tools.find(({ name }) => name === called.name);
  const message = { role: "tool", tool_call_id: id, name: called.name };
  // The model may do better when it hears what was wrong.
  if (!tool) return { ...message, content: `There is no tool ${called.name}.` };
  let input: unknown;
  try {
    input = called.arguments.trim() === "" ? {} : JSON.parse(called.arguments);
  } catch {
    return { ...message, content: "The arguments are no JSON." };
  }
  const content = await tool.execute(input);
  signal.throwIfAborted();
  return { ...message, content: String(content) };
}

/** Tools as the engine is asked. */
export const toolFields = (tools: readonly PromptTool[]): Pick<ChatCompletionRequest, "tools"> =>
  tools.length === 0
    ? {}
    : {
        tools: tools.map(({ name, description, inputSchema }) => ({
          type: "function",
          function: { name, description, parameters: inputSchema },
        })),
      };
