/**
 * Runs the scheduler against requests, with a virtual clock and a GPU that takes as long as the cost
 * model says. The scheduler is the real one, driven through its public interface; planning is free,
 * but on measured hardware.
 */
import { assert } from "../assert.ts";
import { type CostModel, LearnedCosts, partsMs, UNKNOWN_DEVICE } from "../cost-model.ts";
import { SchedulerError } from "../errors.ts";
import { type RequestRecord, requestRecord } from "../metrics/request-record.ts";
import { type Random, seededRandom } from "../random.ts";
import { Scheduler } from "../scheduler.ts";
import { Stages } from "../stages.ts";
import type { SampledOutcome, SequenceId, WorkPlan } from "../work-plan.ts";
import { DueRequests } from "./due-requests.ts";
import { type HardwareProfile, hardwareCosts, type ModelShape, modelRoofline } from "./hardware.ts";
import { KvMeter } from "./kv-meter.ts";
import { isMeasured, type MeasuredGpu } from "./measured-gpu.ts";
import { planParts } from "./plan-parts.ts";
import type { PolicyOverlay } from "./policies.ts";
import { ownId, promptIds } from "./prompt-ids.ts";
import type { TraceRequest } from "./trace.ts";

export interface ReplayOptions {
  readonly hardware: HardwareProfile;
  /** Tokens whose keys and values fit at once; rounded down to whole blocks. */
  readonly kvTokens: number;
  readonly policy: PolicyOverlay;
  readonly seed: number;
  /**
   * A closed loop: so many clients, each of which sends the next of the requests when it has its
   * answer, whatever the requests' arrival and client. Default: requests come when they come.
   */
  readonly clients?: number;
}

/** What became of one request: superseded is "aborted", too long even alone is "rejected". */
export interface ReplayedRequest extends RequestRecord {
  readonly request: TraceRequest;
}

export interface Replay {
  readonly requests: readonly ReplayedRequest[];
  /** Plans; one forward pass each. */
  readonly steps: number;
  readonly computedTokens: number;
  /** Sampled past a request's end before the host knew of it. */
  readonly surplusTokens: number;
  /** From the first arrival to the last token. */
  readonly makespanMs: number;
  /** Tokens in the cache over tokens that it could hold, mean over time. */
  readonly kvUtilization: number;
  readonly timeline: Timeline;
}

/** The state after each plan was made. */
export interface Timeline {
  readonly ms: readonly number[];
  readonly waiting: readonly number[];
  readonly running: readonly number[];
  readonly kvShare: readonly number[];
}

const BLOCK_TOKENS = 32;
/** Memory, not this, bounds how many run at once. */
const MAX_ROWS = 256;
const MAX_TOKENS_PER_PLAN = 512;
/** What a server allows when the client does not say. */
const DEFAULT_MAX_TOKENS = 1024;

/** @throws {SchedulerError} "bad_config". */
export function replay(requests: readonly TraceRequest[], options: ReplayOptions): Replay {
  const run = new Run(requests, options);
  run.toTheEnd();
  return run.result();
}

interface Progress {
  /** New when it comes, if that depends on another's end. */
  record: ReplayedRequest;
  /** Prompt and answer so far, where others may begin alike. */
  ids: number[] | undefined;
  /** First token that was never computed. */
  numEverComputed: number;
}

interface InFlightPlan {
  readonly plan: WorkPlan;
  readonly gpuMs: number;
  readonly visibleMs: number;
}

class Run {
  readonly #scheduler: Scheduler;
  readonly #delays: Pick<MeasuredGpu, "gapMs" | "hostMs" | "readbackMs">;
  readonly #stages: Stages;
  readonly #measured: MeasuredGpu | undefined;
  readonly #random: Random;
  readonly #costs: CostModel;
  readonly #maxTokens: number;
  readonly #progress: readonly Progress[];
  readonly #inFlight: InFlightPlan[] = [];
  readonly #kv: KvMeter;
  readonly #due: DueRequests;
  readonly #timeline = { ms: [], waiting: [], running: [], kvShare: [] } as {
    [key in keyof Timeline]: number[];
  };
  #nowMs = 0;
  /** When the GPU will have run all it was given. */
  #gpuFreeMs = 0;
  /** When the host will have submitted all it planned. */
  #hostFreeMs = 0;
  #computedTokens = 0;
  #surplusTokens = 0;

  constructor(requests: readonly TraceRequest[], options: ReplayOptions) {
    const { hardware, kvTokens, policy, seed, clients } = options;
    const numBlocks = Math.floor(kvTokens / BLOCK_TOKENS);
    const { gpu, model } = hardware;
    this.#delays = { gapMs: 0, hostMs: 0, ...gpu };
    this.#measured = isMeasured(gpu) ? gpu : undefined;
    this.#random = seededRandom(seed);
    this.#costs = hardwareCosts(hardware);
    this.#stages = new Stages(model.numLayers, this.#costs.mlpShare ?? 0.5);
    // While a plan is being read back, so many of the shortest plans run.
    const shortestMs = this.#costs.predictMs({ numTokens: 1, numKvTokens: 1, numAttended: 1 });
    this.#scheduler = new Scheduler({
      numLayers: model.numLayers,
      kvGroups: [{ kind: "full", numBlocks: numBlocks + 1 }],
      blockTokens: BLOCK_TOKENS,
      maxTokensPerPlan: MAX_TOKENS_PER_PLAN,
      maxRows: MAX_ROWS,
      maxRunAhead: Math.min(8, 1 + Math.ceil(gpu.readbackMs / shortestMs)),
      maxParkedTokens: 2 * (policy.maxTokensPerPlan ?? MAX_TOKENS_PER_PLAN),
      costs: this.#measured ? learned(this.#costs, model) : this.#costs,
      seed,
      ...policy,
    });
    this.#kv = new KvMeter(numBlocks * BLOCK_TOKENS);
    this.#maxTokens = requests.reduce(
      (most, { outputTokens }) => Math.max(most, outputTokens),
      DEFAULT_MAX_TOKENS,
    );
    this.#progress = requests.map((request, id) => ({
      record: { ...requestRecord({ ...request, id }), request },
      ids: undefined,
      numEverComputed: 0,
    }));
    this.#due = new DueRequests(requests, clients);
  }

  toTheEnd(): void {
    for (;;) {
      this.#arrive();
      this.#commit();
      this.#plan();
      const visibleMs = this.#inFlight[0]?.visibleMs ?? Number.POSITIVE_INFINITY;
      const wakeMs = this.#scheduler.wakeMs ?? Number.POSITIVE_INFINITY;
      const nextMs = Math.min(this.#due.nextMs, visibleMs, wakeMs);
      if (nextMs === Number.POSITIVE_INFINITY) break;
      this.#kv.advance(nextMs);
      this.#nowMs = nextMs;
    }
    const { numWaiting, numRunning } = this.#scheduler;
    assert(numWaiting + numRunning === 0, `${numWaiting} wait and ${numRunning} run for ever`);
  }

  result(): Replay {
    return {
      requests: this.#progress.map(({ record }) => record),
      steps: this.#timeline.ms.length,
      computedTokens: this.#computedTokens,
      surplusTokens: this.#surplusTokens,
      makespanMs: this.#nowMs,
      kvUtilization: this.#kv.meanShare,
      timeline: this.#timeline,
    };
  }

  #arrive(): void {
    for (;;) {
      const next = this.#due.take(this.#nowMs);
      if (next === undefined) return;
      const { id, ms, client } = next;
      const progress = this.#progress[id];
      const request = { ...progress.record.request, ...(client && { client }) };
      progress.record = { ...requestRecord({ ...request, id, arrivalMs: ms }), request };
      const before = request.after === undefined ? undefined : this.#progress[request.after].ids;
      progress.ids = promptIds(id, request, before);
      try {
        const { maxTokens = this.#maxTokens } = request;
        const start = { ...request, id, maxTokens, promptIds: progress.ids };
        for (const { sequenceId } of this.#scheduler.add(start, this.#nowMs)) {
          this.#progress[sequenceId].record.end = "aborted";
          this.#kv.hold(sequenceId, 0);
        }
      } catch (error) {
        if (!(error instanceof SchedulerError && error.code === "request_too_long")) throw error;
        progress.record.end = "rejected";
        this.#due.refused(progress.record.client, this.#nowMs);
      }
    }
  }

  /** Its session may hold what it has, and the request that comes after it is due. */
  #end(id: SequenceId): void {
    this.#kv.hold(id, 0);
    const { session, holdMs } = this.#progress[id].record.request;
    if (session !== undefined && holdMs !== undefined)
      this.#scheduler.hold(session, holdMs, this.#nowMs);
    this.#due.answered(id, this.#progress[id].record.client, this.#nowMs);
  }

  #commit(): void {
    while (this.#inFlight.length > 0 && this.#inFlight[0].visibleMs <= this.#nowMs) {
      const { plan, gpuMs } = this.#inFlight.shift()!;
      const sampled = plan.rows
        .filter(({ sample }) => sample)
        .map(({ sequenceId }) => this.#read(sequenceId));
      const outcome = { planId: plan.id, gpuMs, sampled };
      for (const { sequenceId } of this.#scheduler.commit(outcome, this.#nowMs))
        this.#end(sequenceId);
    }
  }

  #read(sequenceId: SequenceId): SampledOutcome {
    const { record, ids } = this.#progress[sequenceId];
    if (record.end !== undefined) {
      this.#surplusTokens += 1;
      return { sequenceId, finished: true };
    }
    record.tokenMs.push(this.#nowMs);
    if (record.tokenMs.length === record.request.outputTokens) record.end = "finished";
    const tokenId = ids && ownId(sequenceId, ids.length);
    if (tokenId !== undefined) ids?.push(tokenId);
    return { sequenceId, finished: record.end === "finished", tokenId };
  }

  #plan(): void {
    for (;;) {
      const plan = this.#scheduler.schedule(this.#nowMs);
      if (plan === "idle") return;
      this.#count(plan);
      const { gapMs, hostMs, readbackMs } = this.#delays;
      const gpuMs = this.#gpuMs(plan);
      this.#hostFreeMs = Math.max(this.#hostFreeMs, this.#nowMs) + hostMs;
      this.#gpuFreeMs = Math.max(this.#gpuFreeMs + gapMs, this.#hostFreeMs) + gpuMs;
      this.#inFlight.push({ plan, gpuMs, visibleMs: this.#gpuFreeMs + readbackMs });
    }
  }

  #gpuMs(plan: WorkPlan): number {
    // Where the scheduler was given the same costs, what it predicts is what a plan takes.
    if (this.#measured === undefined) return plan.predictedMs;
    const { spread } = this.#measured;
    const drawn = spread[Math.floor(this.#random() * spread.length)];
    return drawn * partsMs(this.#costs, planParts(plan, this.#stages));
  }

  #count({ preempted, rows }: WorkPlan): void {
    for (const id of preempted) {
      this.#progress[id].record.numPreemptions += 1;
      this.#kv.hold(id, 0);
    }
    for (const { sequenceId, tokens, stages } of rows) {
      // Tokens that are cut by layers count with the first of them.
      if (stages.from > 0) continue;
      const progress = this.#progress[sequenceId];
      const { record, numEverComputed } = progress;
      if (record.startedMs === undefined) {
        record.startedMs = this.#nowMs;
        record.numPrefixHitTokens = tokens.from;
      }
      this.#computedTokens += tokens.to - tokens.from;
      const again = Math.min(tokens.to, numEverComputed) - tokens.from;
      record.numRecomputedTokens += Math.max(0, again);
      progress.numEverComputed = Math.max(numEverComputed, tokens.to);
      this.#kv.hold(sequenceId, tokens.to);
    }
    this.#timeline.ms.push(this.#nowMs);
    this.#timeline.waiting.push(this.#scheduler.numWaiting);
    this.#timeline.running.push(this.#scheduler.numRunning);
    this.#timeline.kvShare.push(this.#kv.share);
  }
}

/** What an engine's scheduler knows once it has served a while: plans of all sizes have run. */
function learned(costs: CostModel, model: ModelShape): CostModel {
  const learnt = new LearnedCosts({ ...UNKNOWN_DEVICE, ...modelRoofline(model) });
  for (let numTokens = 1; numTokens <= MAX_TOKENS_PER_PLAN; numTokens *= 2) {
    const work = { numTokens, numKvTokens: numTokens, numAttended: numTokens };
    learnt.observe(work, costs.predictMs(work));
  }
  return learnt;
}
