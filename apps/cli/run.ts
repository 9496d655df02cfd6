/** `weft run`: one completion, streamed to stdout, or one JSON object. */
import { type Engine, type GenerateChunk, renderChat } from "../../node.ts";
import { answerFormOf, answerFormOptions } from "./answer-form-option.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { defineCommand, log, printJson, type Terminal } from "./command.ts";
import { layerPolicyOf, layerPolicyOptions } from "./layer-policy-option.ts";
import { modelOptions, openEngine, requiredModel } from "./model-options.ts";
import { required, UsageError } from "./option.ts";
import { flag, text } from "./option-types.ts";
import { samplingOptions } from "./sampling-options.ts";

const options = {
  ...modelOptions,
  prompt: text("T", "the text to go on from, or with --chat what the user says"),
  chat: flag("put the prompt through the model's chat template"),
  system: text("T", "with --chat: the system message"),
  ...answerFormOptions,
  ...samplingOptions,
  ...layerPolicyOptions,
  json: flag("one JSON object on stdout"),
};

export const run = defineCommand({
  name: "run",
  summary: "one completion, streamed",
  options,
  run: async (values, terminal) => {
    requiredModel(values);
    const prompt = required(values.prompt, "--prompt", '"Once upon a time"');
    const { chat, system, json, maxTokens, temperature, topK, topP, minP, seed } = values;
    if (system !== undefined && !chat) {
      throw new UsageError("--system is given without --chat; add --chat, or leave it out");
    }
    const { layerPolicy, engineOptions } = layerPolicyOf(values);
    const form = answerFormOf(values);
    const { engine, loadMs } = await openEngine(values, terminal, engineOptions);
    try {
      const promptTokenIds = chat
        ? renderChat(engine, { messages: conversation(prompt, system) })
        : engine.text.encodePrompt(prompt, engine.plan.spec.vocabSize);
      const request = {
        prompt: chat ? promptTokenIds : prompt,
        ...{ maxTokens, temperature, topK, topP, minP, seed },
        ...{ layerPolicy, constraint: form && constraintOf(form) },
      };
      const startedMs = performance.now();
      const view = json ? undefined : await viewOf(engine, terminal, chat ? promptTokenIds : null);
      const asked = { ...request, skipSpecialTokens: view?.skipSpecialTokens };
      const chunks = engine.generate(asked, { signal: terminal.signal });
      const answer = await follow(chunks, view?.show ?? (() => {})).finally(view?.end);
      const { adapter, kind: device } = engine.device.info;
      const timing = timingOf(answer, startedMs, loadMs, promptTokenIds.length);
      const { text, tokenIds, finishReason, usage } = answer;
      if (json) {
        const result = { promptTokenIds, tokenIds, text, finishReason, usage, timing };
        printJson(terminal, { ...result, adapter, device });
      } else {
        log(terminal, figures(engine, tokenIds.length, timing));
      }
      return 0;
    } finally {
      await engine.close();
    }
  },
});

/** As it comes: of a chat, thinking is told apart from what is said. @param chatPrompt Null for a text. */
async function viewOf(engine: Engine, terminal: Terminal, chatPrompt: readonly number[] | null) {
  const writer = new AnswerWriter(terminal);
  if (!chatPrompt) {
    const show = (piece: string) => writer.say(piece);
    const end = () => writer.isEmpty || writer.end();
    return { show, end, skipSpecialTokens: undefined };
  }
  const format = await engine.text.chatFormat();
  const text = engine.text.tokenizer.decode(chatPrompt, { skipSpecialTokens: false });
  const startsThinking = format.startsThinking(text);
  const parser = format.parser({ tools: false, startsThinking });
  const write = (parts: ReturnType<typeof parser.push>) => {
    for (const part of parts) {
      if (part.type === "reasoning") writer.think(part.text);
      else if (part.type === "content") writer.say(part.text);
    }
  };
  return {
    show: (piece: string) => write(parser.push(piece)),
    end() {
      write(parser.flush());
      if (!writer.isEmpty) writer.end();
    },
    skipSpecialTokens: !format.readsSpecialTokens,
  };
}

const constraintOf = (form: NonNullable<ReturnType<typeof answerFormOf>>) =>
  form.type === "json_schema" ? { type: form.type, schema: form.json_schema.schema } : form;

const conversation = (prompt: string, system: string | undefined) => [
  ...(system === undefined ? [] : [{ role: "system", content: system }]),
  { role: "user", content: prompt },
];

interface Answer {
  text: string;
  readonly tokenIds: number[];
  /** When each token arrived. */
  readonly tokenMs: number[];
  finishReason?: string;
  usage?: GenerateChunk["usage"];
}

async function follow(
  chunks: AsyncIterable<GenerateChunk>,
  onText: (piece: string) => void,
): Promise<Answer> {
  const answer: Answer = { text: "", tokenIds: [], tokenMs: [] };
  for await (const { text, tokenIds, finishReason, usage } of chunks) {
    for (const id of tokenIds) {
      answer.tokenIds.push(id);
      answer.tokenMs.push(performance.now());
    }
    answer.text += text;
    if (text !== "") onText(text);
    answer.finishReason ??= finishReason;
    answer.usage ??= usage;
  }
  return answer;
}

/** Null where the answer is too short to tell. */
function timingOf({ tokenMs }: Answer, startedMs: number, loadMs: number, promptTokens: number) {
  const ttftMs = tokenMs.length > 0 ? tokenMs[0] - startedMs : null;
  const tpotMs =
    tokenMs.length > 1 ? (tokenMs[tokenMs.length - 1] - tokenMs[0]) / (tokenMs.length - 1) : null;
  return {
    loadMs,
    ttftMs,
    tpotMs,
    decodeTokPerS: tpotMs === null ? null : 1000 / tpotMs,
    prefillTokPerS: ttftMs === null ? null : (1000 * promptTokens) / ttftMs,
  };
}

function figures(engine: Engine, numTokens: number, timing: ReturnType<typeof timingOf>): string {
  const { ttftMs, decodeTokPerS } = timing;
  return [
    `${numTokens} tokens`,
    ...(decodeTokPerS === null ? [] : [`${decodeTokPerS.toFixed(1)} tok/s`]),
    ...(ttftMs === null ? [] : [`first after ${Math.round(ttftMs)} ms`]),
    `loaded in ${(timing.loadMs / 1000).toFixed(1)} s`,
    engine.device.info.adapter,
  ].join(" · ");
}
