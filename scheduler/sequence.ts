/**
 * One sequence: how far it is planned, how far it is read back, which blocks it holds.
 * Counts only; token values live in the runtime and, until read back, on the GPU alone.
 */
import { assert } from "./assert.ts";
import type { BlockTable } from "./block-table.ts";
import { isPositiveInteger } from "./config.ts";
import { SchedulerError } from "./errors.ts";
import type { PlannedRow, SequenceId } from "./work-plan.ts";

export interface SequenceRequest {
  /** Chosen by the caller; unique among the sequences that have not ended. */
  readonly id: SequenceId;
  /** At least 1. */
  readonly numPromptTokens: number;
  /** Most tokens to sample, at least 1. Nothing is to be scheduled for 0: answer it at once. */
  readonly maxTokens: number;
  /**
   * Each new token goes through the host before the next (a grammar mask, forced tokens): the
   * sequence sits out while a sample of it is unread, and the others go on.
   */
  readonly needsHost?: boolean;
}

export class Sequence {
  readonly id: SequenceId;
  readonly numPromptTokens: number;
  readonly maxTokens: number;
  readonly needsHost: boolean;
  readonly arrivalMs: number;
  /** Blocks that it may come to hold at once, per KV group. */
  readonly worstCaseBlocks: readonly number[];
  readonly blockTables: readonly BlockTable[];

  state: "waiting" | "running" | "finished" = "waiting";
  /** When its first row was planned. */
  startMs = 0;
  #numSampledTokens = 0;
  #numReadTokens = 0;
  #numComputedTokens = 0;

  constructor(
    request: SequenceRequest,
    arrivalMs: number,
    worstCaseBlocks: readonly number[],
    blockTables: readonly BlockTable[],
  ) {
    this.id = request.id;
    this.numPromptTokens = request.numPromptTokens;
    this.maxTokens = request.maxTokens;
    this.needsHost = request.needsHost ?? false;
    this.arrivalMs = arrivalMs;
    this.worstCaseBlocks = worstCaseBlocks;
    this.blockTables = blockTables;
  }

  /** Prompt and sampled tokens, those included that only the GPU knows yet. */
  get numTokens(): number {
    return this.numPromptTokens + this.#numSampledTokens;
  }

  /** Advanced when a row is planned, so that the next plan follows before results are read. */
  get numComputedTokens(): number {
    return this.#numComputedTokens;
  }

  /** Tokens that a plan may compute now; 0 when done, or when it waits for the host. */
  get numReadyTokens(): number {
    const unread = this.#numSampledTokens - this.#numReadTokens;
    if (this.#numSampledTokens === this.maxTokens || (this.needsHost && unread > 0)) return 0;
    return this.numTokens - this.#numComputedTokens;
  }

  /** Plan the next `count` tokens; having computed all there are, the row samples one more. */
  advance(count: number): Pick<PlannedRow, "tokens" | "sample" | "blockTables"> {
    assert(count > 0 && count <= this.numReadyTokens, `${count} of ${this.numReadyTokens} tokens`);
    const tokens = { from: this.#numComputedTokens, to: this.#numComputedTokens + count };
    const sample = tokens.to === this.numTokens;
    this.#numComputedTokens = tokens.to;
    if (sample) this.#numSampledTokens += 1;
    for (const table of this.blockTables) table.cover(tokens);
    return { tokens, sample, blockTables: this.blockTables.map((table) => table.snapshot()) };
  }

  /** One more sampled token was read back. Says why it is the last one, if it is. */
  read(finished: boolean): "stop" | "length" | undefined {
    this.#numReadTokens += 1;
    assert(this.#numReadTokens <= this.#numSampledTokens, "a token was read that none sampled");
    if (finished) return "stop";
    return this.#numReadTokens === this.maxTokens ? "length" : undefined;
  }
}

/** @throws {SchedulerError} "bad_request". */
export function checkRequest({ id, numPromptTokens, maxTokens }: SequenceRequest): void {
  if (!Number.isSafeInteger(id)) refuse(`sequence id ${id} is not an integer`);
  if (!isPositiveInteger(numPromptTokens))
    refuse(
      `sequence ${id} has ${numPromptTokens} prompt tokens; it needs at least 1: ` +
        "begin an empty prompt with the model's first token",
    );
  if (!isPositiveInteger(maxTokens))
    refuse(
      `sequence ${id} asks for ${maxTokens} new tokens; ` +
        "it needs a whole number from 1 on: answer a request for none without scheduling it",
    );
}

function refuse(message: string): never {
  throw new SchedulerError("bad_request", message);
}
