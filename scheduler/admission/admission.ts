/**
 * Who may start, and who never could. Cuts the question for the policy: groups that keep every token by
 * its rule, window groups by the most that sequences may come to hold.
 */
import { AlternatingTokens } from "../alternating-tokens.ts";
import { SchedulerError } from "../errors.ts";
import type { Holds } from "../holds.ts";
import type { KvBlocks } from "../kv-blocks.ts";
import type { Random } from "../random.ts";
import type { Sequence } from "../sequence.ts";
import type { SequenceRequest } from "../sequence-request.ts";
import type { KvGroup } from "../work-plan.ts";
import { type AdmissionName, admissionPolicies } from "./policies.ts";
import type { AdmissionPolicy } from "./policy.ts";

export class Admission {
  readonly #blocks: KvBlocks;
  readonly #holds: Holds;
  readonly #maxChunkTokens: number;
  readonly #policy: AdmissionPolicy;

  /** @param maxChunkTokens Longest row of a plan. */
  constructor(
    blocks: KvBlocks,
    holds: Holds,
    maxChunkTokens: number,
    name: AdmissionName,
    random: Random,
  ) {
    this.#blocks = blocks;
    this.#holds = holds;
    this.#maxChunkTokens = maxChunkTokens;
    this.#policy = admissionPolicies[name](random);
  }

  /**
   * Blocks that the request may come to hold at once, per KV group.
   * @throws {SchedulerError} "request_too_long" when a group could not hold it even alone.
   */
  worstCase(request: SequenceRequest): number[] {
    const { groups, blockTokens } = this.#blocks;
    return groups.map((group, index) => {
      if (!this.#blocks.keeps(index, request.layerPlan)) return 0;
      const { alternation, numPromptTokens: numPrompt } = request;
      const alternating = alternation && new AlternatingTokens(numPrompt, alternation);
      const placeOf = (token: number) => alternating?.place(index, token) ?? token;
      const needed = worstCaseBlocks(request, group, blockTokens, this.#maxChunkTokens, placeOf);
      const available = this.#blocks.capacity[index];
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

  /** Alone a sequence always may: `worstCase` has seen to that. */
  admits(candidate: Sequence, running: readonly Sequence[]): boolean {
    if (running.length === 0) return true;
    if (!this.#windowsFit(candidate, running)) return false;
    const numBlocks = this.#fullBlocks(candidate);
    if (numBlocks === Number.POSITIVE_INFINITY) return true;
    const { blockTokens } = this.#blocks;
    return this.#policy.admits(candidate, running, { numBlocks, blockTokens });
  }

  observeEnd(sequence: Sequence): void {
    if (sequence.hasStarted) this.#policy.observeEnd?.(sequence);
  }

  /** Of the smallest pool that keeps every token, what is not held for other sessions. */
  #fullBlocks({ session, plans }: Sequence): number {
    let numBlocks = Number.POSITIVE_INFINITY;
    this.#blocks.groups.forEach(({ window }, group) => {
      if (window !== undefined || !this.#blocks.keeps(group, plans.own)) return;
      const free = this.#blocks.capacity[group] - this.#holds.numBlocks(group, session);
      numBlocks = Math.min(numBlocks, free);
    });
    return numBlocks;
  }

  #windowsFit(candidate: Sequence, running: readonly Sequence[]): boolean {
    return this.#blocks.groups.every(({ window }, group) => {
      if (window === undefined) return true;
      let needed = candidate.worstCaseBlocks[group] + this.#holds.numBlocks(group);
      for (const sequence of running) needed += this.#mostBlocks(sequence, group);
      return needed <= this.#blocks.capacity[group];
    });
  }

  /** Of a window group. An answer takes a token at a time: what the prompt's chunks took goes back. */
  #mostBlocks(sequence: Sequence, group: number): number {
    const worstCase = sequence.worstCaseBlocks[group];
    if (sequence.numTokens - sequence.numComputedTokens > 1) return worstCase;
    const { groups, blockTokens } = this.#blocks;
    const toAnswer = blocksOfSpan(groups[group].window!, blockTokens);
    return Math.min(worstCase, Math.max(toAnswer, sequence.blocks.numHeld(group)));
  }
}

/**
 * The last sampled token is never computed, so a full group holds prompt + maxTokens − 1 tokens.
 * A window group holds, while a chunk of n tokens runs, the chunk and the window − 1 tokens before
 * it, wherever that span lies across block borders.
 * @param placeOf Of a token in the group.
 */
export function worstCaseBlocks(
  { numPromptTokens, maxTokens }: SequenceRequest,
  { window = Number.POSITIVE_INFINITY }: KvGroup,
  blockTokens: number,
  maxChunkTokens: number,
  placeOf = (token: number) => token,
): number {
  const whole = Math.ceil(placeOf(numPromptTokens + maxTokens - 1) / blockTokens);
  const span = window - 1 + Math.min(numPromptTokens, maxChunkTokens);
  return Math.min(whole, blocksOfSpan(span, blockTokens));
}

/** Wherever the span begins. */
const blocksOfSpan = (numTokens: number, blockTokens: number): number =>
  Math.ceil((numTokens - 1) / blockTokens) + 1;

function cure({ numPromptTokens }: SequenceRequest, group: KvGroup, poolTokens: number): string {
  const room = poolTokens - numPromptTokens + 1;
  if (group.window === undefined && room > 0)
    return `ask for at most ${room} new tokens or raise the KV memory budget`;
  return "shorten the prompt or raise the KV memory budget";
}
