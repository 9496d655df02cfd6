/** A chat model of the engine as the AI SDK's `LanguageModelV3`. Owns the way of one call through the engine. */
import type {
  JSONValue,
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { ChatCompletionChunk } from "../../worker.ts";
import { chatRequest } from "./chat-request.ts";
import { EngineModel } from "./engine-model.ts";
import { finishReason, metadataOf, thrown, usageOf } from "./outcome.ts";
import { PartWriter } from "./part-writer.ts";

export class WeftLanguageModel extends EngineModel implements LanguageModelV3 {
  /** Pages that the model would read by itself: none. */
  readonly supportedUrls = {};

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const content: LanguageModelV3Content[] = [];
    const result: Partial<LanguageModelV3GenerateResult> = {};
    const { stream, request } = await this.#parts(options);
    for await (const part of stream) {
      if (part.type === "error") throw part.error;
      if (part.type === "stream-start") result.warnings = part.warnings;
      else if (part.type === "response-metadata") {
        const { type: _, ...metadata } = part;
        result.response = metadata;
      } else if (part.type === "finish") {
        const { type: _, ...outcome } = part;
        Object.assign(result, outcome);
      } else collect(content, part);
    }
    const { finishReason, usage, warnings = [], ...rest } = result;
    return { content, finishReason: finishReason!, usage: usage!, warnings, request, ...rest };
  }

  async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const { stream, request } = await this.#parts(options);
    return { stream: readable(stream), request };
  }

  async #parts(options: LanguageModelV3CallOptions) {
    const { request: own, warnings } = chatRequest(options);
    const request = { ...this.asked, ...own };
    const { abortSignal: signal } = options;
    try {
      const streaming = {
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      } as const;
      const chunks = await this.engine.chat.completions.create(streaming, { signal });
      return { stream: partsOf(chunks, options, warnings), request: { body: request } };
    } catch (error) {
      throw thrown(error, signal);
    }
  }
}

async function* partsOf(
  chunks: AsyncIterable<ChatCompletionChunk>,
  { abortSignal, includeRawChunks }: LanguageModelV3CallOptions,
  warnings: SharedV3Warning[],
): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
  yield { type: "stream-start", warnings };
  const writer = new PartWriter();
  const logprobs: JSONValue[] = [];
  let isFirst = true;
  let reason: string | null = null;
  let usage: ChatCompletionChunk["usage"];
  try {
    for await (const chunk of chunks) {
      if (includeRawChunks) yield { type: "raw", rawValue: chunk };
      if (isFirst) yield { type: "response-metadata", ...metadata(chunk) };
      isFirst = false;
      const choice = chunk.choices.at(0);
      if (choice) yield* writer.push(choice.delta);
      if (choice?.logprobs) logprobs.push(...(choice.logprobs.content as never[]));
      reason = choice?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
  } catch (error) {
    const cause = thrown(error, abortSignal);
    // An abort ends the stream itself: the AI SDK tells it from a fault by that.
    if (cause !== error) throw cause;
    yield { type: "error", error };
    return;
  }
  yield* writer.close();
  yield {
    type: "finish",
    finishReason: finishReason(reason),
    usage: usageOf(usage),
    ...metadataOf(logprobs),
  };
}

const metadata = ({ id, model, created }: ChatCompletionChunk) => ({
  id,
  modelId: model,
  timestamp: new Date(created * 1000),
});

/** Whole parts of the pieces, in their order. */
function collect(content: LanguageModelV3Content[], part: LanguageModelV3StreamPart): void {
  const last = content.at(-1);
  if (part.type === "text-start") content.push({ type: "text", text: "" });
  else if (part.type === "reasoning-start") content.push({ type: "reasoning", text: "" });
  else if (part.type === "tool-call") content.push(part);
  else if (part.type === "text-delta" && last?.type === "text") last.text += part.delta;
  else if (part.type === "reasoning-delta" && last?.type === "reasoning") last.text += part.delta;
}

/** A reader that leaves ends the request. */
function readable<T>(parts: AsyncGenerator<T, void, undefined>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return();
      },
    },
    { highWaterMark: 0 },
  );
}
