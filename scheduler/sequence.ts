/**
 * One sequence: how far it is planned, how far it is read back, which blocks it holds.
 * Decides by counts; ids are kept for the prefix cache alone, as far as the host knows them.
 */
import type { SharedTokens } from "./admission/counted-once.ts";
import { assert } from "./assert.ts";
import type { KvBlocks } from "./kv-blocks.ts";
import type { PrefixHit } from "./prefix-cache.ts";
import type { Priority } from "./priority.ts";
import { Samples } from "./samples.ts";
import type { SequenceBlocks } from "./sequence-blocks.ts";
import { type SequenceRequest, scopeOf } from "./sequence-request.ts";
import type { Drafter, DraftRound } from "./speculation/round.ts";
import { type RoundRow, Rounds } from "./speculation/rounds.ts";
import type { ParkedRows } from "./stages.ts";
import { TokenPlans } from "./token-plans.ts";
import type { BlockCopy, PlannedRow, SampledOutcome, SequenceId, StageRange } from "./work-plan.ts";

export class Sequence {
  readonly id: SequenceId;
  readonly numPromptTokens: number;
  readonly maxTokens: number;
  readonly priority: Priority;
  readonly deadlineMs: number | undefined;
  readonly client: string;
  readonly program: string | undefined;
  readonly session: string | undefined;
  readonly outputTokens: number | undefined;
  readonly computesAll: boolean;
  readonly plans: TokenPlans;
  readonly drafter: Drafter | undefined;
  /** Counts arrivals. */
  readonly ticket: number;
  readonly arrivalMs: number;
  /** Blocks that it may come to hold at once, per KV group. */
  readonly worstCaseBlocks: readonly number[];
  readonly blocks: SequenceBlocks;
  readonly samples: Samples;
  readonly rounds = new Rounds();
  /** Whose prompt it has, if it is a fork; that one may have ended. */
  readonly parent: Sequence | undefined;

  state: "waiting" | "running" | "finished" = "waiting";
  /** While it runs: how urgent it was when it started; 0 is the most. */
  rank = 0;
  /** Blocks of it are on their way to the host, and it can go on when they are there. */
  awaitsCopy = false;
  /** When its first row was planned. */
  #startMs: number | undefined;
  #numComputedTokens = 0;
  /** Of those, computed by plans that were made; the one being made not included. */
  #numSettledTokens = 0;
  /** Known to those that hold the same blocks of its prompt. */
  #lineage: object | undefined;
  #parked: ParkedRows | undefined;

  constructor(
    request: SequenceRequest,
    ticket: number,
    arrivalMs: number,
    worstCaseBlocks: readonly number[],
    blocks: KvBlocks,
    parent?: Sequence,
  ) {
    this.id = request.id;
    this.numPromptTokens = request.numPromptTokens;
    this.maxTokens = request.maxTokens;
    this.priority = request.priority ?? "interactive";
    this.deadlineMs = request.deadlineMs;
    this.client = request.client ?? "";
    this.program = request.program;
    this.session = request.session;
    this.outputTokens = request.outputTokens;
    this.computesAll = request.computesAll ?? false;
    this.plans = new TokenPlans(request);
    this.drafter = request.drafter;
    this.ticket = ticket;
    this.arrivalMs = arrivalMs;
    this.worstCaseBlocks = worstCaseBlocks;
    this.parent = parent;
    this.samples = new Samples(request);
    const { own, alternating } = this.plans;
    // Who knows no ids finds nothing in the prefix cache.
    const ids = this.computesAll ? [] : this.samples.ids;
    this.blocks = blocks.newSequence(scopeOf(request), ids, own?.keeps, alternating);
  }

  /** Prompt and sampled tokens, those included that only the GPU knows yet. */
  get numTokens(): number {
    return this.numPromptTokens + this.numSampledTokens;
  }

  /** Those included that only the GPU knows yet. */
  get numSampledTokens(): number {
    return this.samples.count;
  }

  /** Sampled, and the host does not know which yet: an end is learnt so many tokens late. */
  get numUnreadTokens(): number {
    return this.samples.count - this.samples.numRead;
  }

  /** Has run, whether it runs now or was taken back. */
  get hasStarted(): boolean {
    return this.#startMs !== undefined;
  }

  /** Advanced when a row is planned, so that the next plan follows before results are read. */
  get numComputedTokens(): number {
    return this.#numComputedTokens;
  }

  get parked(): ParkedRows | undefined {
    return this.#parked;
  }

  /** From `add` to its first plan, if it has had one. */
  get queueMs(): number | undefined {
    return this.#startMs === undefined ? undefined : this.#startMs - this.arrivalMs;
  }

  /**
   * Tokens that a plan may compute now; 0 when done, or when it waits for the host. So does one that
   * was taken back, until all its samples are read: what it computes again begins with known ids.
   */
  get numReadyTokens(): number {
    const isTakenBack = this.state === "waiting";
    if (this.awaitsCopy || this.plans.isDeciding || this.rounds.isPending(isTakenBack)) return 0;
    const waitsForHost = this.drafter?.waitsForHost || isTakenBack;
    if ((this.numUnreadTokens > 0 && waitsForHost) || this.samples.isHeldUp) return 0;
    return this.numTokens - this.#numComputedTokens;
  }

  /** It has more to say when an outcome has been read. */
  get waitsForHost(): boolean {
    return this.numReadyTokens === 0 && this.samples.count < this.maxTokens;
  }

  /** Of tokens that are ready, those from one on that run the same. */
  numAlike(from: number): number {
    return Math.min(this.numTokens, this.plans.endOfRun(from)) - from;
  }

  /**
   * The next tokens that there are blocks for, whether they are ready or not.
   * @param hit Of one that waits: what it would begin with, and `from`: where it would compute on.
   */
  numFittingTokens(hit?: PrefixHit, from = hit?.numTokens ?? this.#numComputedTokens): number {
    return Math.max(0, this.blocks.reach(from, hit) - from);
  }

  /**
   * A fork may begin with its blocks: plans that were made compute the prompt but for the last token,
   * and no row of the plan being made can follow that gives some of them back.
   */
  get isForkable(): boolean {
    const isSettled = this.#numSettledTokens >= this.numPromptTokens - 1;
    return this.state === "running" && isSettled && this.numReadyTokens <= 1;
  }

  /** What it need not compute, should it start now: what its parent or the prefix cache has. */
  lookup(): PrefixHit {
    const cached = this.blocks.lookup();
    const forked = this.parent?.isForkable && this.parent.blocks.fork(this.numPromptTokens - 1);
    return forked && forked.numTokens >= cached.numTokens ? forked : cached;
  }

  /** What it holds together with others, or will should it start now. */
  get shared(): SharedTokens | undefined {
    const isFork = this.state === "waiting" && this.parent && this.lookup().tails;
    const lineage = isFork ? this.parent?.shareLineage() : this.#lineage;
    return lineage && { lineage, numTokens: this.blocks.numFullTokens(this.numPromptTokens - 1) };
  }

  shareLineage(): object {
    this.#lineage ??= {};
    return this.#lineage;
  }

  /**
   * It computes what it does not begin with.
   * @param from Behind the hit, where the host has what lies between.
   * @returns What to copy before any row of the plan runs.
   */
  start(nowMs: number, rank: number, hit: PrefixHit, from: number): BlockCopy[] {
    assert(this.state === "waiting", `sequence ${this.id} starts while ${this.state}`);
    this.state = "running";
    this.rank = rank;
    this.#startMs ??= nowMs;
    this.samples.start();
    this.#numComputedTokens = from;
    if (hit.tails) this.#lineage = this.parent?.shareLineage();
    return this.blocks.adopt(hit);
  }

  /** Nothing is computed any more. What plans in flight sample of it still counts. */
  preempt(): void {
    assert(this.state === "running", `sequence ${this.id} is taken back while ${this.state}`);
    this.state = "waiting";
    this.#release();
  }

  /** What was sampled and not read is not known to anybody any more: it is sampled again. */
  forgetUnread(): void {
    this.samples.forgetUnread();
    this.rounds.forgetUnread();
    this.plans.forgetUnread();
  }

  end(): void {
    this.state = "finished";
    this.#release();
  }

  /** Call when a plan was made, and not while it is: whoever starts with it must not share its rows. */
  publish(): void {
    this.#numSettledTokens = this.#numComputedTokens;
    this.blocks.publish(this.#numComputedTokens);
  }

  /**
   * Plan stages of the next `count` tokens, which are the parked ones if there are any. Having
   * computed all tokens there are, the row samples one more.
   * @param lastStage Behind the last of all.
   */
  advance(count: number, stages: StageRange, lastStage: number): AdvancedRow {
    assert(count > 0 && count <= this.numReadyTokens, `${count} of ${this.numReadyTokens} tokens`);
    const tokens = { from: this.#numComputedTokens, to: this.#numComputedTokens + count };
    const { to, stage } = this.#parked ?? { to: tokens.to, stage: 0 };
    assert(
      to === tokens.to && stage === stages.from,
      `stages from ${stages.from} on, not ${stage}`,
    );
    const isComputed = stages.to === lastStage;
    this.#parked = isComputed ? undefined : { to, stage: stages.to };
    if (isComputed) this.#numComputedTokens = tokens.to;
    const sample = isComputed && tokens.to === this.numTokens;
    if (sample) this.samples.draw(1);
    this.blocks.cover(tokens);
    this.plans.advance();
    return { tokens, sample, ...this.#tablesAt(tokens.from) };
  }

  /** Its blocks are there: a round takes one more than it drafts. */
  beginRound(round: DraftRound): void {
    const from = this.#numComputedTokens;
    this.blocks.cover({ from, to: from + round.tokens + 1 });
    this.rounds.begin(round);
  }

  /** The next row of its round. */
  advanceRound(round: DraftRound): AdvancedRow & RoundRow {
    const row = this.rounds.advance(round, this.#numComputedTokens);
    return { ...row, sample: true, ...this.#tablesAt(row.tokens.from) };
  }

  #tablesAt(token: number): Pick<PlannedRow, "blockTables" | "places"> {
    const blockTables = this.blocks.snapshot();
    const places = this.blocks.places(token);
    return places ? { blockTables, places } : { blockTables };
  }

  /**
   * One more sampled token was read back, or those of a round that stand. Says why the last of them is
   * the sequence's last, if it is.
   */
  read(outcome: SampledOutcome, round?: DraftRound): "stop" | "length" | undefined {
    const { finished, tokenId, tokenIds = [tokenId], proposed = 0 } = outcome;
    this.rounds.propose(proposed);
    if (round) {
      const count = outcome.tokenIds?.length ?? 0;
      assert(count > 0, `a round of sequence ${this.id} has an outcome without tokens`);
      this.samples.draw(count);
      // Unless it was taken back in between, its drafts that stand are computed.
      if (this.rounds.settle(round)) this.#numComputedTokens += count;
    }
    this.samples.read(tokenIds);
    if (finished) return "stop";
    return this.samples.isWhole ? "length" : undefined;
  }

  /** The host has said what may follow, and which drafts may. */
  resume(tokenIds: readonly number[], pausesAt: number, drafts: number): void {
    this.samples.resume(tokenIds, pausesAt, drafts);
    this.rounds.propose(drafts);
  }

  /** What was computed can be found until its blocks are used for something else. */
  #release(): void {
    this.publish();
    this.blocks.release();
    this.#numComputedTokens = 0;
    this.#numSettledTokens = 0;
    this.#lineage = undefined;
    this.#parked = undefined;
    this.rounds.break();
  }
}

type AdvancedRow = Pick<PlannedRow, "tokens" | "sample" | "blockTables" | "places">;
