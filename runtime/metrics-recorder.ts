/**
 * Keeps what the metrics are made of. Memory is bounded whatever runs; figures are worked out elsewhere,
 * when they are asked for.
 */
import { type RequestRecord, requestRecord } from "../scheduler/metrics/request-record.ts";
import type { PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { SequenceStart } from "./live-sequence.ts";
import type { EngineTotals } from "./metrics.ts";
import { NumberRing } from "./number-ring.ts";

/** What a record has of a request. */
export type RequestStart = Pick<SequenceStart, "promptIds" | "scheduling">;

export interface StepRun {
  readonly gpuMs: number;
  /** Of its submissions, in order. */
  readonly submissionMs: readonly (number | undefined)[];
  readonly readMs: number;
  readonly lagMs: number;
  readonly lagSteps: number;
}

interface LiveRecord extends RequestRecord {
  /** First token that was never computed. */
  numEverComputed: number;
}

const MOST_REQUESTS = 512;
/** Of the requests kept: half a megabyte. */
const MOST_TOKENS = 65_536;
const MOST_STEPS = 1024;
const STEP_COLUMNS = [
  ...(["gpuMs", "predictedMs", "lagMs", "lagSteps"] as const),
  ...(["tokens", "rows", "layers"] as const),
];

type StepColumn = (typeof STEP_COLUMNS)[number];

export interface MetricsData {
  readonly uptimeMs: number;
  readonly total: EngineTotals;
  readonly ended: readonly RequestRecord[];
  readonly steps: readonly Readonly<Record<StepColumn, number>>[];
  readonly submissions: readonly { readonly ms: number }[];
}

export class MetricsRecorder {
  readonly #startMs: number;
  readonly #numStages: number;
  readonly #live = new Map<SequenceId, LiveRecord>();
  readonly #ended: RequestRecord[] = [];
  #numEndedTokens = 0;
  readonly #steps = new NumberRing(MOST_STEPS, STEP_COLUMNS);
  readonly #submissions = new NumberRing(MOST_STEPS, ["ms"]);
  readonly #total: EngineTotals = {
    ...{ requests: 0, finished: 0, aborted: 0, rejected: 0, steps: 0, computedTokens: 0 },
    ...{
      sampledTokens: 0,
      prefixHitTokens: 0,
      preemptions: 0,
      swappedBlocks: 0,
      recomputedTokens: 0,
    },
    ...{ overshootTokens: 0, draftRounds: 0, draftedTokens: 0, acceptedTokens: 0, gpuMs: 0 },
    deviceLosses: 0,
  };

  constructor(startMs: number, numStages: number) {
    this.#startMs = startMs;
    this.#numStages = numStages;
  }

  add(id: SequenceId, start: RequestStart, nowMs: number): void {
    this.#live.set(id, { ...recordOf(id, start, nowMs), numEverComputed: 0 });
    this.#total.requests += 1;
  }

  /** It never got an id. */
  reject(start: RequestStart, nowMs: number): void {
    const record = recordOf(0, start, nowMs);
    this.#total.requests += 1;
    this.#end(record, "rejected");
  }

  plan({ preempted, swapOut, swapIn, rows }: WorkPlan, nowMs: number): void {
    this.#total.steps += 1;
    this.#total.preemptions += preempted.length;
    this.#total.swappedBlocks += swapOut.length + swapIn.length;
    for (const id of preempted) this.#live.get(id)!.numPreemptions += 1;
    for (const row of rows) this.#planRow(row, nowMs);
  }

  /** @param standing Of each row that samples: tokens that are the answer's. */
  commit(
    { rows, predictedMs }: WorkPlan,
    run: StepRun,
    standing: readonly number[],
    ran?: ReadonlyMap<SequenceId, number>,
  ): void {
    const total = this.#total;
    let tokens = 0;
    let numSampled = 0;
    for (const row of rows) {
      const count = row.tokens.to - row.tokens.from;
      tokens += count;
      if (!row.sample) continue;
      const numStanding = standing[numSampled++];
      const record = this.#live.get(row.sequenceId);
      for (let i = 0; i < numStanding; i++) record?.tokenMs.push(run.readMs);
      if (record === undefined) total.overshootTokens += numStanding;
      else total.sampledTokens += numStanding;
      if (row.kind !== "verify") continue;
      total.draftRounds += 1;
      total.draftedTokens += count - 1;
      total.acceptedTokens += numStanding - 1;
    }
    this.#total.gpuMs += run.gpuMs;
    const layers = countLayers(rows, this.#numStages, ran);
    const { gpuMs, lagMs, lagSteps } = run;
    const sizes = { tokens, rows: rows.length, layers };
    this.#steps.push({ gpuMs, predictedMs, lagMs, lagSteps, ...sizes });
    for (const ms of submissionTimes(run)) this.#submissions.push({ ms });
  }

  lose(): void {
    this.#total.deviceLosses += 1;
  }

  end(id: SequenceId, end: "finished" | "aborted"): void {
    const record = this.#live.get(id)!;
    this.#live.delete(id);
    this.#end(record, end);
  }

  /** What figures are worked out of: copies, and records that do not change any more. */
  data(nowMs: number): MetricsData {
    return {
      uptimeMs: nowMs - this.#startMs,
      total: { ...this.#total },
      ended: [...this.#ended],
      steps: this.#steps.rows(),
      submissions: this.#submissions.rows(),
    };
  }

  #planRow({ sequenceId, tokens, stages, kind }: PlannedRow, nowMs: number): void {
    // Tokens that are cut by layers count with the first of them, drafts when they are verified.
    if (stages.from > 0 || kind === "draft") return;
    const record = this.#live.get(sequenceId)!;
    if (record.startedMs === undefined) {
      record.startedMs = nowMs;
      record.numPrefixHitTokens = tokens.from;
      this.#total.prefixHitTokens += tokens.from;
    }
    const again = Math.max(0, Math.min(tokens.to, record.numEverComputed) - tokens.from);
    // Those behind the first may not stand.
    const computed = kind === "verify" ? tokens.from + 1 : tokens.to;
    record.numEverComputed = Math.max(record.numEverComputed, computed);
    record.numRecomputedTokens += again;
    this.#total.recomputedTokens += again;
    this.#total.computedTokens += tokens.to - tokens.from;
  }

  #end(record: RequestRecord, end: NonNullable<RequestRecord["end"]>): void {
    record.end = end;
    this.#total[end] += 1;
    // A list that has grown has room to grow on.
    this.#ended.push({ ...record, tokenMs: record.tokenMs.slice() });
    this.#numEndedTokens += record.tokenMs.length;
    while (this.#ended.length > MOST_REQUESTS || this.#isTooLong())
      this.#numEndedTokens -= this.#ended.shift()!.tokenMs.length;
  }

  /** The newest is kept, however long it is. */
  #isTooLong(): boolean {
    return this.#numEndedTokens > MOST_TOKENS && this.#ended.length > 1;
  }
}

const recordOf = (id: number, { promptIds, scheduling }: RequestStart, arrivalMs: number) =>
  requestRecord({
    ...{ id, arrivalMs, numPromptTokens: promptIds.length },
    ...{ priority: scheduling?.priority, client: scheduling?.client },
  });

/** Of all rows together; the first stage and the last are no layer's. */
function countLayers(
  rows: readonly PlannedRow[],
  numStages: number,
  ran?: ReadonlyMap<SequenceId, number>,
): number {
  const union = new Set<number>();
  for (const { sequenceId, stages, layerPlan } of rows) {
    const { layers = [], stages: exits = [] } = layerPlan?.exits ?? {};
    const left = exits[layers.indexOf(ran?.get(sequenceId) ?? 0)] ?? numStages - 1;
    const end = Math.min(stages.to, left);
    for (let stage = Math.max(1, stages.from); stage < end; stage++)
      if (layerPlan?.runs[stage] ?? true) union.add(stage);
    if (union.size === numStages - 2) break;
  }
  return union.size / 2;
}

/** Where the device has not measured them, a step's time is shared out. */
const submissionTimes = ({ gpuMs, submissionMs }: StepRun): number[] =>
  submissionMs.map((ms) => ms ?? gpuMs / submissionMs.length);
