/**
 * Chunks as server-sent events, as OpenAI sends them: `data: {…}`, an error in between as `data: {"error":…}`,
 * and at the end `data: [DONE]`. The next chunk is taken when the reader wants one; what a slow reader leaves
 * waits in the engine, where an answer's length bounds it.
 */
import { ApiError } from "./api-error.ts";
import type { Lifetime } from "./lifetime.ts";

export interface EventStreamOptions {
  readonly lifetime: Lifetime;
  readonly stallTimeoutMs: number;
  /** Ends the connection of a reader that takes nothing. */
  readonly disconnect: () => void;
  readonly onChunk: () => void;
  readonly toApiError: (error: unknown) => ApiError;
}

export function eventStream(
  chunks: AsyncIterable<object>,
  { lifetime, stallTimeoutMs, disconnect, onChunk, toApiError }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const leave = () => void iterator.return?.().catch(() => {});
  const encoder = new TextEncoder();
  const event = (text: string) => encoder.encode(`data: ${text}\n\n`);
  let isWanted = false;
  let stall: ReturnType<typeof setTimeout> | undefined;
  const stalled = () => {
    lifetime.abort(new ApiError(499, "the reader takes nothing", { code: "stalled" }));
    disconnect();
  };
  const watch = () => {
    clearTimeout(stall);
    if (!isWanted && !lifetime.signal.aborted) stall = setTimeout(stalled, stallTimeoutMs);
  };
  lifetime.atEnd(() => {
    clearTimeout(stall);
    leave();
  });
  watch();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        isWanted = true;
        watch();
        try {
          const { done, value } = await iterator.next();
          if (lifetime.signal.aborted) throw lifetime.signal.reason;
          if (!done) {
            onChunk();
            controller.enqueue(event(JSON.stringify(value)));
            isWanted = false;
            watch();
            return;
          }
          controller.enqueue(event("[DONE]"));
        } catch (error) {
          const { body } = toApiError(lifetime.signal.aborted ? lifetime.signal.reason : error);
          controller.enqueue(event(JSON.stringify(body)));
        }
        controller.close();
        lifetime.end();
      },
      cancel() {
        lifetime.abort(new ApiError(499, "the caller has gone", { code: "aborted" }));
      },
    },
    { highWaterMark: 0 },
  );
}
