/**
 * `weft chat`: a conversation that keeps its history. Ctrl-C stops the answer, /reset forgets,
 * /exit and Ctrl-D leave. Piped input is a script: one message per line.
 */
import { createInterface } from "node:readline";
import {
  type ChatMessage,
  type Engine,
  type LayerPolicy,
  type ResponseFormat,
  WeftError,
} from "../../node.ts";
import { answerFormOf, answerFormOptions } from "./answer-form-option.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { defineCommand, log, type Terminal } from "./command.ts";
import { layerPolicyOf, layerPolicyOptions } from "./layer-policy-option.ts";
import { modelOptions, openEngine, requiredModel } from "./model-options.ts";
import { integer, text } from "./option-types.ts";
import { type SamplingValues, samplingOptions } from "./sampling-options.ts";

const options = {
  ...modelOptions,
  system: text("T", "the system message"),
  thinkingTokens: integer(
    0,
    Number.MAX_SAFE_INTEGER,
    "most tokens of thinking, 0 for none; default: the model's own",
  ),
  ...answerFormOptions,
  ...samplingOptions,
  ...layerPolicyOptions,
};

interface Asking extends SamplingValues {
  readonly policy: LayerPolicy | undefined;
  readonly form: ResponseFormat | undefined;
  readonly thinkingTokens?: number;
}

/** The next message may do better. */
const SURVIVED = ["bad_request", "request_too_long", "chat_template_failed"];

export const chat = defineCommand({
  name: "chat",
  summary: "a conversation in the terminal",
  options,
  run: async (values, terminal) => {
    requiredModel(values);
    const { layerPolicy: policy, engineOptions } = layerPolicyOf(values);
    const form = answerFormOf(values);
    const { engine } = await openEngine(values, terminal, engineOptions);
    try {
      const opening = values.system === undefined ? [] : [message("system", values.system)];
      return await converse(engine, opening, { ...values, policy, form }, terminal);
    } finally {
      await engine.close();
    }
  },
});

async function converse(
  engine: Engine,
  opening: readonly ChatMessage[],
  asking: Asking,
  terminal: Terminal,
): Promise<number> {
  const { stdin, stdout } = terminal;
  const interactive = stdin.isTTY === true && stdout.isTTY === true;
  const lines = createInterface({
    input: stdin,
    output: stdout,
    terminal: interactive,
    prompt: "> ",
  });
  let stop: (() => void) | undefined;
  const interrupt = () => (stop ? stop() : lines.close());
  terminal.onInterrupt(interrupt);
  // In raw mode a terminal sends Ctrl-C as a key.
  lines.on("SIGINT", interrupt);
  const ready = () => interactive && lines.prompt();
  if (interactive) log(terminal, "/reset forgets, /exit or Ctrl-D leaves, Ctrl-C stops an answer");
  let messages = [...opening];
  let status = 0;
  ready();
  try {
    for await (const line of lines) {
      const said = line.trim();
      if (said === "/exit" || terminal.signal.aborted) break;
      if (said === "/reset") messages = [...opening];
      else if (said !== "") {
        const asked = [...messages, message("user", said)];
        const controller = new AbortController();
        stop = () => controller.abort("interrupt");
        try {
          const signal = AbortSignal.any([controller.signal, terminal.signal]);
          const answer = await answerTo(engine, asked, asking, terminal, signal);
          // Templates want every user turn answered, so one that was stopped at once never was.
          if (answer !== "") messages = [...asked, message("assistant", answer)];
        } catch (error) {
          if (!(error instanceof WeftError) || !SURVIVED.includes(error.code)) throw error;
          log(terminal, `weft chat: ${error.message} (${error.code})`);
          status = 1;
        }
        stop = undefined;
      }
      ready();
    }
  } finally {
    lines.close();
    terminal.onInterrupt(undefined);
  }
  return status;
}

/** @returns What was said until the end, or until it was stopped. */
async function answerTo(
  engine: Engine,
  messages: readonly ChatMessage[],
  { maxTokens, temperature, topK, topP, minP, seed, policy, form, thinkingTokens }: Asking,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<string> {
  const answer = new AnswerWriter(terminal);
  try {
    const chunks = await engine.chat.completions.create(
      {
        messages,
        stream: true,
        ...{ max_tokens: maxTokens, temperature, top_k: topK, top_p: topP, min_p: minP, seed },
        ...{ layer_policy: policy, response_format: form, thinking_budget: thinkingTokens },
      },
      { signal },
    );
    for await (const { choices } of chunks) {
      const { content = "", reasoning_content: thought = "" } = choices[0].delta;
      // Thoughts are shown and not kept: templates leave those of earlier turns out.
      answer.think(thought);
      answer.say(content);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  answer.end();
  return answer.text;
}

const message = (role: string, content: string): ChatMessage => ({ role, content });
