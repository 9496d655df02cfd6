// One request from start to end, and what tests ask requests with.

import { expect } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import { WeftError, type WeftErrorCode } from "../../runtime/errors.ts";
import type { ChatCompletionChunk } from "../../runtime/openai/chat-answer.ts";
import type {
  CallOptions,
  FinishReason,
  GenerateChunk,
  GenerateRequest,
  TokenLogprob,
  Usage,
} from "../../runtime/request.ts";
import type { EngineDoor, Subject } from "./subject.ts";

export interface Answered {
  readonly chunks: readonly GenerateChunk[];
  readonly text: string;
  readonly ids: readonly number[];
  readonly logprobs: readonly (readonly TokenLogprob[])[];
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

/** @param onChunk Sees each chunk before the next is asked for. */
export async function ask(
  door: EngineDoor,
  request: GenerateRequest,
  options?: CallOptions,
  onChunk?: (chunk: GenerateChunk) => void,
): Promise<Answered> {
  const chunks: GenerateChunk[] = [];
  for await (const chunk of door.generate(request, options)) {
    chunks.push(chunk);
    onChunk?.(chunk);
  }
  const { finishReason, usage } = chunks.at(-1)!;
  return {
    chunks,
    text: chunks.map(({ text }) => text).join(""),
    ids: chunks.flatMap(({ tokenIds }) => tokenIds),
    logprobs: chunks.flatMap(({ logprobs }) => logprobs ?? []),
    finishReason: finishReason!,
    usage: usage!,
  };
}

export async function all<T>(chunks: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const chunk of chunks) list.push(chunk);
  return list;
}

export const contentOf = (chunks: readonly ChatCompletionChunk[]): string =>
  chunks.map(({ choices }) => choices.at(0)?.delta.content ?? "").join("");

/** Ids of ordinary tokens of the demo model, the same for the same seed. */
export function randomIds(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => 9 + Math.floor(random() * 1000));
}

/** Rejects with a WeftError of this code, whose message matches. */
export async function refused(
  work: Promise<unknown>,
  code: WeftErrorCode,
  message: RegExp = /./,
): Promise<WeftError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error, `expected to fail with ${code}`).toBeInstanceOf(WeftError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  return error as WeftError;
}

/** Nothing is held: no sequence, no slot, no block; and nothing is under way. */
export async function settled({ engine }: Subject): Promise<void> {
  await expect
    .poll(() => engine.loop.usage, { timeout: 30_000, interval: 5 })
    .toEqual({ sequences: 0, slots: 0, kv: engine.loop.usage.kv.map(() => 0), plans: 0 });
}
