/**
 * Makes one plan: which sequences have a row in it, and which tokens and stages each row runs. Owns the
 * three passes; who goes first, who may start and who is taken back, others decide.
 */
import { type Chunk, PlanBudget } from "./budget.ts";
import type { ResolvedConfig } from "./config.ts";
import type { PlanPart } from "./cost-model.ts";
import type { Holds } from "./holds.ts";
import type { HostBlocks } from "./host-blocks.ts";
import type { Sampling } from "./in-flight.ts";
import type { Preemption } from "./preemption.ts";
import type { SequenceQueue } from "./queue.ts";
import type { Sequence } from "./sequence.ts";
import type { DraftRound } from "./speculation/round.ts";
import { submissionsOf } from "./submissions.ts";
import type { BlockCopy, BlockSwap, PlannedRow, WorkPlan } from "./work-plan.ts";

export interface MadePlan {
  readonly plan: Omit<WorkPlan, "id">;
  readonly parts: readonly PlanPart[];
  /** Those whose rows sample, in row order. */
  readonly sampling: readonly Sampling[];
  /** Whose blocks the host has when the plan has run. */
  readonly leaving: readonly Sequence[];
}

export interface PlannerParts {
  readonly queue: SequenceQueue;
  readonly preemption: Preemption;
  readonly holds: Holds;
  readonly host: HostBlocks;
}

export class Planner {
  readonly #config: ResolvedConfig;
  readonly #queue: SequenceQueue;
  readonly #preemption: Preemption;
  readonly #holds: Holds;
  readonly #host: HostBlocks;
  // Of the plan being made.
  #sampling: Sampling[] = [];
  #planned: Sequence[] = [];
  #copies: BlockCopy[] = [];
  #swapIn: BlockSwap[] = [];
  #hasRouted = false;

  constructor(config: ResolvedConfig, { queue, preemption, holds, host }: PlannerParts) {
    this.#config = config;
    this.#queue = queue;
    this.#preemption = preemption;
    this.#holds = holds;
    this.#host = host;
  }

  /** @returns Undefined when nobody can go on; whoever was taken back for it is, all the same. */
  plan(nowMs: number, quantumMs: number): MadePlan | undefined {
    const budget = new PlanBudget(this.#config, quantumMs);
    [this.#sampling, this.#planned, this.#copies, this.#swapIn] = [[], [], [], []];
    this.#hasRouted = false;
    this.#preemption.beginPlan(nowMs);
    const rows = [
      ...this.#planTokens(budget),
      ...this.#planChunks(budget, nowMs),
      ...this.#startWaiting(budget, nowMs),
    ];
    if (rows.length === 0) return undefined;
    for (const sequence of this.#planned) this.#queue.publish(sequence, nowMs);
    const { swapOut, leaving } = this.#host.endPlan();
    const { parts, predictedMs } = budget;
    const moved = { swapOut, swapIn: this.#swapIn, copies: this.#copies };
    const submissions = submissionsOf(rows, predictedMs, quantumMs, this.#config);
    const preempted = this.#preemption.endPlan();
    const plan = { preempted, ...moved, rows, predictedMs, submissions };
    return { plan, parts, sampling: this.#sampling, leaving };
  }

  /**
   * Before all prompts: an answer under way never waits for another's prompt. The first started
   * first: who is taken back on the way is the newest, so its turn has not come.
   */
  *#planTokens(budget: PlanBudget): Iterable<PlannedRow> {
    for (const sequence of this.#queue.running)
      if (sequence.numReadyTokens === 1 && this.#preemption.makeRoom(sequence)) {
        const round = sequence.rounds.current ?? this.#beginRound(sequence);
        if (round) yield this.#planRound(sequence, round, budget);
        else {
          const { numComputedTokens: from } = sequence;
          yield this.#planRow(sequence, budget.takeToken(from, sequence.plans.at(from)));
        }
      }
  }

  /** As long as its drafter wishes, and tokens, blocks and rows allow; undefined goes on without. */
  #beginRound(sequence: Sequence): DraftRound | undefined {
    const { drafter, samples, numUnreadTokens, rounds } = sequence;
    // What the host proposes follows the last token that it has read.
    const wish = drafter?.next(numUnreadTokens > 0 ? 0 : rounds.proposed);
    if (wish === undefined) return undefined;
    const fitting = sequence.numFittingTokens() - 1;
    const room = Math.min(this.#draftRoom, fitting, samples.draftRoom);
    const tokens = Math.min(wish.tokens, room);
    if (tokens < 1) return undefined;
    const { stages } = this.#config;
    const draftCost = wish.layerPlan ? tokens * stages.planShare(wish.layerPlan) : 0;
    // Those of the host it has seen.
    const isUnseen = wish.layerPlan && samples.passesPause(tokens);
    const begun = { numDrafted: 0, fitting: isUnseen ? undefined : tokens, isVerifying: false };
    const round = { ...wish, tokens, draftCost, ...begun };
    sequence.beginRound(round);
    return round;
  }

  /** Drafts that may come to those under way. */
  get #draftRoom(): number {
    let room = this.#config.maxDraftTokens;
    for (const { rounds } of this.#queue.running) room -= rounds.current?.tokens ?? 0;
    return room;
  }

  #planRound(sequence: Sequence, round: DraftRound, budget: PlanBudget): PlannedRow {
    const row = sequence.advanceRound(round);
    const { from, to } = row.tokens;
    const drafts = row.kind === "draft" ? round.layerPlan : undefined;
    const layerPlan = drafts ?? sequence.plans.own;
    const { stages } = budget.takeToken(from, layerPlan, to - from);
    this.#sampling.push({ sequence, round, kind: row.kind });
    this.#planned.push(sequence);
    const runs = layerPlan ?? this.#config.layerPlan;
    return { sequenceId: sequence.id, stages, ...row, ...(runs && { layerPlan: runs }) };
  }

  /** Prompts under way, each cut to what is left, and before each whoever waits and is more urgent. */
  *#planChunks(budget: PlanBudget, nowMs: number): Iterable<PlannedRow> {
    const underWay = this.#queue.running.filter(({ numReadyTokens }) => numReadyTokens > 1);
    for (const sequence of underWay) {
      yield* this.#startWaiting(budget, nowMs, sequence.rank);
      const chunk = this.#nextChunk(sequence, budget);
      if (chunk === undefined) return;
      yield this.#planRow(sequence, chunk);
    }
  }

  #nextChunk(sequence: Sequence, budget: PlanBudget): Chunk | undefined {
    const { parked, rank, numComputedTokens: from } = sequence;
    const layerPlan = sequence.plans.at(from);
    if (parked) return budget.takeParked({ ...parked, from, rank, layerPlan });
    const wanted = sequence.numAlike(from);
    const fitting = this.#preemption.fitting(sequence, wanted);
    const parkable = this.#parkable;
    return budget.takeChunk({ from, wanted, fitting, rank, parkable, layerPlan });
  }

  /** Tokens that one more row may park; there is always a place for it beside those that decode or verify. */
  get #parkable(): number {
    const { maxParkedTokens, maxTokensPerPlan, maxRows, maxDraftTokens, cutBy } = this.#config;
    if (maxParkedTokens === 0 || cutBy === "tokens") return 0;
    let room = maxParkedTokens;
    for (const { parked, numComputedTokens } of this.#queue.running)
      if (parked) room -= parked.to - numComputedTokens;
    return Math.min(room, maxTokensPerPlan - maxRows - maxDraftTokens);
  }

  /** @param above Only those more urgent than this rank. */
  *#startWaiting(
    budget: PlanBudget,
    nowMs: number,
    above = Number.POSITIVE_INFINITY,
  ): Iterable<PlannedRow> {
    while (this.#queue.running.length < this.#config.maxRows && !this.#preemption.isShort) {
      const sequence = this.#queue.next(nowMs);
      if (sequence === undefined) return;
      const rank = this.#queue.rankOf(sequence, nowMs);
      if (rank >= above || !this.#queue.admits(sequence)) return;
      const numKept = this.#host.numTokens(sequence);
      // What the host has of a fork is more than its parent could give.
      const hit = numKept > 0 ? sequence.blocks.lookup() : sequence.lookup();
      const from = Math.max(hit.numTokens, numKept);
      const wanted = sequence.numAlike(from);
      const fitting = this.#preemption.fitting(sequence, wanted, hit, from);
      const layerPlan = sequence.plans.at(from);
      const parkable = this.#parkable;
      // A router sees all of a prompt, or what a plan holds; the device decides of one at a time.
      const { maxTokensPerPlan, maxRows, maxDraftTokens } = this.#config;
      const most = maxTokensPerPlan - maxRows - maxDraftTokens;
      const whole = layerPlan?.isRouted ? Math.min(wanted, Math.max(1, most)) : 0;
      if (whole > 0 && this.#hasRouted) return;
      const wish = { from, wanted, fitting, rank, parkable, layerPlan, whole };
      const chunk = budget.takeChunk(wish);
      if (chunk === undefined) return;
      this.#hasRouted ||= whole > 0;
      this.#copies.push(...this.#queue.start(sequence, nowMs, hit, from));
      this.#holds.observeStart(sequence);
      const row = this.#planRow(sequence, chunk);
      this.#swapIn.push(...this.#host.swapIn(sequence, hit.numTokens, row.blockTables));
      yield row;
    }
  }

  #planRow(sequence: Sequence, { count, stages }: Chunk): PlannedRow {
    const numStages = 2 * this.#config.numLayers + 2;
    const advanced = sequence.advance(count, stages, numStages);
    if (advanced.sample) this.#sampling.push({ sequence, kind: "compute" });
    this.#planned.push(sequence);
    const layerPlan = sequence.plans.at(advanced.tokens.from) ?? this.#config.layerPlan;
    const row = { sequenceId: sequence.id, stages, kind: "compute", ...advanced } as const;
    return layerPlan ? { ...row, layerPlan } : row;
  }
}
