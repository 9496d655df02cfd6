/**
 * Who may start. Conservative: a sequence starts only when its worst case fits beside the worst
 * cases of all that run, so an allocation never fails and nothing is ever taken back.
 */
import { assert } from "./assert.ts";
import { SchedulerError } from "./errors.ts";
import type { KvBlocks } from "./kv-blocks.ts";
import type { Sequence, SequenceRequest } from "./sequence.ts";
import type { KvGroup } from "./work-plan.ts";

export class Admission {
  readonly #blocks: KvBlocks;
  readonly #capacity: readonly number[];
  readonly #maxChunkTokens: number;
  /** Blocks that the running sequences may come to hold, per KV group. */
  readonly #reserved: number[];

  /** @param maxChunkTokens Longest row of a plan. */
  constructor(blocks: KvBlocks, maxChunkTokens: number) {
    this.#blocks = blocks;
    this.#capacity = blocks.capacity;
    this.#maxChunkTokens = maxChunkTokens;
    this.#reserved = blocks.groups.map(() => 0);
  }

  /**
   * Blocks that the request may come to hold at once, per KV group.
   * @throws {SchedulerError} "request_too_long" when a group could not hold it even alone.
   */
  worstCase(request: SequenceRequest): number[] {
    const { groups, blockTokens } = this.#blocks;
    return groups.map((group, index) => {
      const needed = worstCaseBlocks(request, group, blockTokens, this.#maxChunkTokens);
      const available = this.#capacity[index];
      if (needed <= available) return needed;
      const { numPromptTokens, maxTokens } = request;
      throw new SchedulerError(
        "request_too_long",
        `request of ${numPromptTokens} prompt tokens and up to ${maxTokens} new ones needs ` +
          `${needed} KV blocks of ${blockTokens} tokens in KV group ${index} (${group.kind}), ` +
          `the pool has ${available}; ${cure(request, group, available * blockTokens)}`,
      );
    });
  }

  fits(sequence: Sequence): boolean {
    return sequence.worstCaseBlocks.every(
      (needed, group) => this.#reserved[group] + needed <= this.#capacity[group],
    );
  }

  reserve(sequence: Sequence): void {
    assert(this.fits(sequence), `sequence ${sequence.id} does not fit`);
    sequence.worstCaseBlocks.forEach((needed, group) => {
      this.#reserved[group] += needed;
    });
  }

  release(sequence: Sequence): void {
    sequence.worstCaseBlocks.forEach((needed, group) => {
      this.#reserved[group] -= needed;
      assert(this.#reserved[group] >= 0, `group ${group} has ${this.#reserved[group]} reserved`);
    });
  }
}

/**
 * The last sampled token is never computed, so a full group holds prompt + maxTokens − 1 tokens.
 * A window group holds, while a chunk of n tokens runs, the chunk and the window − 1 tokens before
 * it, wherever that span lies across block borders.
 */
export function worstCaseBlocks(
  { numPromptTokens, maxTokens }: SequenceRequest,
  { window = Number.POSITIVE_INFINITY }: KvGroup,
  blockTokens: number,
  maxChunkTokens: number,
): number {
  const whole = Math.ceil((numPromptTokens + maxTokens - 1) / blockTokens);
  const span = window - 1 + Math.min(numPromptTokens, maxChunkTokens);
  return Math.min(whole, Math.ceil((span - 1) / blockTokens) + 1);
}

function cure({ numPromptTokens }: SequenceRequest, group: KvGroup, poolTokens: number): string {
  const room = poolTokens - numPromptTokens + 1;
  if (group.kind === "full" && room > 0)
    return `ask for at most ${room} new tokens or raise the KV memory budget`;
  return "shorten the prompt or raise the KV memory budget";
}
