// Scheduler and fake device together, with the invariants checked after every step. Tests drive it
// by hand or let it drain. Checks are plain asserts: a random test makes millions of them.

import assert from "node:assert/strict";
import {
  type LayerPlan,
  type PlannedRow,
  type PlanWork,
  PRIORITIES,
  type SampledOutcome,
  Scheduler,
  type SchedulerConfig,
  type SchedulerEvent,
  type SequenceId,
  type WorkPlan,
} from "../../scheduler/index.ts";
import { expectedIds, FakeDevice, type FakeRequest, isStop } from "./fake-device.ts";
import { ScriptedDrafter } from "./scripted-drafter.ts";

/** Of drafts, as its rows tell it. */
interface SeenRound {
  /** Drafts that it is to have. */
  readonly numDrafts: number;
  numDrafted: number;
  /** As read from the rows that draft, or as the host proposed them. */
  readonly drafts: number[];
  /** Of the drafts, those that the host lets pass, where it is asked. */
  numFitting?: number;
  isVerifying: boolean;
}

/** A row that samples. */
interface Sampling {
  readonly row: PlannedRow;
  readonly ids: readonly number[];
  readonly round: SeenRound | undefined;
}

interface Progress {
  readonly request: FakeRequest;
  /** Read back and wanted. */
  readonly ids: number[];
  /** What its rows covered since it last started; a gap or a repeat fails at once. */
  numComputed: number;
  /** Tokens behind these of which some stages have run. */
  parked: { readonly to: number; readonly stage: number } | undefined;
  numSampled: number;
  /** Of those, committed; ids beyond are known to the device alone. */
  numRead: number;
  round: SeenRound | undefined;
  /** Verified, and not read. */
  numUnreadRounds: number;
  /** Rounds whose outcome was read. */
  numRounds: number;
  /** Of their drafts, those that stood. */
  numAccepted: number;
  /** Rounds that ended because it was taken back. */
  numBrokenRounds: number;
  /** What its drafts should come to; empty of one that does not draft. */
  readonly answer: readonly number[];
  /** What the host would draft behind the last token that was read. */
  proposal: readonly number[];
  numPreemptions: number;
  /** Of all its starts, taken from the prefix cache, or from its parent. */
  numHitTokens: number;
  /** Starts with blocks that the host kept. */
  numSwapIns: number;
  /** Waits for its parent's prompt, and has no place in line. */
  attends: boolean;
  /** Times that it began as a fork. */
  numForks: number;
  readonly arrivalMs: number;
  numStarts: number;
  /** As it was when it started. */
  rank: number;
  state: "live" | "finished" | "aborted";
  /** Blocks of its newest row, per group. */
  blockTables: readonly (readonly number[])[];
}

/** Of drafts, those that the host lets pass: mostly all. */
const numFitting = (drafts: readonly number[]): number => {
  const misfit = drafts.findIndex((id) => id % 7 === 0);
  return misfit < 0 ? drafts.length : misfit;
};

/** Token ids go to the scheduler only when the configuration says `prefixCache`. */
export class Serving {
  readonly scheduler: Scheduler;
  readonly plans: WorkPlan[] = [];
  readonly events: SchedulerEvent[] = [];
  readonly progress = new Map<number, Progress>();
  /** The most urgent first, and of a rank in the order in which they started. */
  readonly #running: number[] = [];
  /** Taken back, and no plan has said so yet; the last to run first. */
  readonly #untold: number[] = [];
  /** Only more urgent ones than this may start in a plan that took somebody back. */
  #startsAbove = Number.POSITIVE_INFINITY;
  /** Plans until the host is done with a sequence's last token, or with the drafts of a round. */
  readonly #hostPlans = new Map<number, { readonly plans: number; readonly round?: SeenRound }>();
  /** Blocks that the host keeps, and whose they are. */
  readonly #kept = new Map<string, number>();
  /** Since `hold`, until `release`. */
  readonly #heldSessions = new Set<string>();
  readonly #config: SchedulerConfig;
  readonly #device: FakeDevice;
  #capacity: readonly number[];
  readonly #unread: { readonly plan: WorkPlan; readonly sampling: readonly Sampling[] }[] = [];
  nowMs = 0;

  constructor(config: SchedulerConfig) {
    this.#config = config;
    this.#capacity = config.kvGroups.map(({ numBlocks }) => numBlocks - 1);
    this.#device = new FakeDevice(config.kvGroups, config.blockTokens ?? 32);
    this.scheduler = new Scheduler(config);
  }

  add(request: FakeRequest): void {
    const { promptTokens, stopEvery: _, stopAfter: __, hostDelay: ___, ...named } = request;
    const { needsHost, ...rest } = named;
    const { id } = request;
    const promptIds = this.#config.prefixCache ? promptTokens : undefined;
    const pausesAt = needsHost ? 1 : undefined;
    const asked = { ...rest, numPromptTokens: promptTokens.length, promptIds, pausesAt };
    for (const event of this.scheduler.add(asked, this.nowMs)) {
      this.#end(event.sequenceId, "aborted");
      this.events.push(event);
    }
    const { kvGroups, layerPlan } = this.#config;
    const answer = request.drafter ? expectedIds(request, kvGroups, layerPlan) : [];
    this.#device.addPrompt(request, answer);
    this.progress.set(id, {
      request,
      ids: [],
      numComputed: 0,
      parked: undefined,
      numSampled: 0,
      numRead: 0,
      ...{ round: undefined, numUnreadRounds: 0, numRounds: 0, numAccepted: 0, numBrokenRounds: 0 },
      ...{ answer, proposal: [] },
      numPreemptions: 0,
      numHitTokens: 0,
      numSwapIns: 0,
      attends:
        promptTokens.length > 1 && this.#isLive(rest.forkOf) && !this.#isForkable(rest.forkOf),
      numForks: 0,
      arrivalMs: this.nowMs,
      numStarts: 0,
      rank: 0,
      state: "live",
      blockTables: [],
    });
    this.#checkBlocks();
  }

  abort(id: number): void {
    this.scheduler.abort(id);
    const progress = this.progress.get(id);
    if (progress?.state === "live") this.#end(id, "aborted");
    this.#checkBlocks();
  }

  hold(session: string, ms: number): void {
    this.#heldSessions.add(session);
    this.scheduler.hold(session, ms, this.nowMs);
    this.#checkBlocks();
  }

  /** Plans in flight are never read back; all that run are taken back. */
  loseDevice(numBlocks?: readonly number[]): number[] {
    const tooLong = this.scheduler.loseDevice(this.nowMs, numBlocks);
    if (numBlocks) this.#capacity = numBlocks.map((blocks) => blocks - 1);
    this.#unread.length = 0;
    this.#kept.clear();
    this.#takeBack(this.#running.length);
    const known = new Map<number, readonly number[]>();
    for (const [id, progress] of this.progress) {
      progress.numSampled = progress.numRead;
      progress.numUnreadRounds = 0;
      known.set(id, [...progress.request.promptTokens, ...progress.ids]);
    }
    this.#device.replace(known);
    assert.deepEqual(this.scheduler.freeBlocks, this.#capacity);
    assert.equal(this.scheduler.numInFlight, 0);
    for (const id of tooLong) this.#end(id, "aborted");
    return tooLong;
  }

  release(session: string): void {
    this.#heldSessions.delete(session);
    this.scheduler.release(session);
    this.#checkBlocks();
  }

  /** @returns The plan, which the device has run by now, or "idle". */
  schedule(): WorkPlan | "idle" {
    this.#answerHost();
    const plan = this.scheduler.schedule(this.nowMs++);
    const started = plan === "idle" ? [] : this.#startedBy(plan);
    this.#takeBack(this.#running.length + started.length - this.scheduler.numRunning);
    if (plan === "idle") {
      // Nothing to do and nothing to wait for means that nobody is left.
      if (this.#unread.length === 0 && this.#hostPlans.size === 0)
        assert.equal(this.scheduler.numWaiting + this.scheduler.numRunning, 0, "idle for ever");
      return plan;
    }
    assert.equal(plan.id, this.plans.length);
    this.plans.push(plan);
    assert.deepEqual(plan.preempted, this.#untold.splice(0));
    for (const { sequenceId, tokens } of started) {
      const isSwapped = plan.swapIn.some((swap) => swap.sequenceId === sequenceId);
      this.#start(sequenceId, tokens.from, isSwapped);
    }
    this.#checkSwaps(plan);
    this.#checkCopies(plan, started);
    this.#checkRows(plan);
    this.#checkBudget(plan);
    this.#checkDrafts(plan);
    for (const progress of this.progress.values())
      if (this.#isForkable(progress.request.forkOf)) progress.attends = false;
    this.#checkBlocks();
    this.#execute(plan);
    assert.equal(this.scheduler.numInFlight, this.#unread.length);
    return plan;
  }

  /** Read back the oldest plan, if there is one. */
  commit(): SchedulerEvent[] {
    const read = this.#unread.shift();
    if (read === undefined) return [];
    const sampled = read.sampling.map((sampling) => this.#read(sampling));
    const outcome = { planId: read.plan.id, gpuMs: 1, sampled };
    const events = this.scheduler.commit(outcome, this.nowMs);
    for (const { sequenceId } of events) this.#end(sequenceId, "finished");
    this.events.push(...events);
    this.#checkBlocks();
    return events;
  }

  #execute(plan: WorkPlan): void {
    const rows = plan.rows.filter((row) => row.sample);
    const rounds = rows.map((row) =>
      row.kind === "compute" ? undefined : this.progress.get(row.sequenceId)!.round,
    );
    const proposed = new Map<SequenceId, readonly number[]>();
    rows.forEach(({ sequenceId, kind }, i) => {
      if (kind === "verify" && rounds[i]!.numDrafted === 0)
        proposed.set(sequenceId, rounds[i]!.drafts);
    });
    const ids = this.#device.execute(plan, proposed);
    const sampling = rows.map((row, i) => ({ row, ids: ids[i], round: rounds[i] }));
    this.#unread.push({ plan, sampling });
  }

  /** A draft is kept for the row that verifies it; of a round, those stand that were foreseen, and one more. */
  #read({ row, ids, round }: Sampling): SampledOutcome {
    const { sequenceId, kind, tokens } = row;
    const progress = this.progress.get(sequenceId)!;
    const { request, state, answer } = progress;
    if (kind === "draft") {
      round!.drafts.push(ids[0]);
      const isWhole = round!.drafts.length === row.drafts!.to - row.drafts!.from;
      if (state === "live" && request.needsHost && isWhole && progress.round === round)
        this.#hostPlans.set(sequenceId, { plans: request.hostDelay ?? 0, round });
      return { sequenceId, finished: false };
    }
    const differs = ids.findIndex((id, i) => id !== round?.drafts[i]);
    const standing = kind === "compute" || differs < 0 ? ids : ids.slice(0, differs + 1);
    const tokenIds: number[] = [];
    let finished = false;
    for (const id of standing) {
      tokenIds.push(id);
      if (state === "live") progress.ids.push(id);
      progress.numRead += 1;
      finished = isStop(id, progress.numRead, request);
      if (finished) break;
    }
    if (kind === "verify") {
      assert.equal(ids.length, tokens.to - tokens.from);
      this.#device.learn(sequenceId, tokenIds);
      progress.numSampled += tokenIds.length;
      progress.numUnreadRounds -= 1;
      progress.numRounds += 1;
      progress.numAccepted += tokenIds.length - 1;
      if (progress.round === round) {
        progress.numComputed += tokenIds.length;
        progress.round = undefined;
      }
    }
    const { hostDelay = 0, drafter } = request;
    if (state === "live" && !finished && request.needsHost)
      this.#hostPlans.set(sequenceId, { plans: hostDelay });
    if (drafter instanceof ScriptedDrafter && drafter.asksHost)
      progress.proposal = drafter.propose(answer, progress.ids.length);
    const told = { sequenceId, finished, proposed: progress.proposal.length };
    if (kind === "verify") return { ...told, tokenIds };
    return { ...told, tokenId: tokenIds[0] };
  }

  /** The host works on all of them at once, and is the slower the more plans it may take. */
  #answerHost(): void {
    for (const [id, { plans, round }] of this.#hostPlans) {
      if (plans > 1) {
        this.#hostPlans.set(id, { plans: plans - 1, round });
        continue;
      }
      this.#hostPlans.delete(id);
      const progress = this.progress.get(id)!;
      if (!round) this.#resume(id, progress);
      // Given up meanwhile.
      else if (progress.round === round) {
        round.numFitting = numFitting(round.drafts);
        this.scheduler.fit(id, round.numFitting);
      }
    }
  }

  #resume(id: number, progress: Progress): void {
    const { drafter } = progress.request;
    const asksHost = drafter instanceof ScriptedDrafter && drafter.asksHost;
    progress.proposal = progress.proposal.slice(0, numFitting(progress.proposal));
    const drafts = asksHost ? progress.proposal.length : (drafter?.max ?? 0);
    this.scheduler.resume(id, [], progress.numRead + 1, drafts);
  }

  /** Until nothing is left; `runAhead` plans are made before the oldest is read. */
  drain(runAhead = 1): void {
    while (this.scheduler.numWaiting + this.scheduler.numRunning + this.#unread.length > 0) {
      while (this.#unread.length < runAhead && this.schedule() !== "idle");
      this.commit();
      assert(this.plans.length <= this.#mostPlans(), `${this.plans.length} plans: no end`);
    }
  }

  /** One token, or one sublayer, a plan, and a start for each token sampled. */
  #mostPlans(): number {
    const requests = [...this.progress.values()].map(({ request }) => request);
    const starts = requests.map(
      ({ promptTokens, maxTokens }) => (maxTokens + 1) * (promptTokens.length + maxTokens),
    );
    const numSteps = this.#numStages + (this.#config.maxDraftTokens ?? 0);
    return numSteps * starts.reduce((sum, tokens) => sum + tokens, 0);
  }

  ids(id: number): readonly number[] {
    return this.progress.get(id)!.ids;
  }

  /** The last to run; what they have computed is lost, and all else is kept. */
  #takeBack(count: number): void {
    assert(count >= 0, `${-count} run that never started`);
    const last = this.#running.splice(this.#running.length - count, count).reverse();
    this.#startsAbove = Number.POSITIVE_INFINITY;
    for (const id of last) {
      const progress = this.progress.get(id)!;
      progress.numBrokenRounds += progress.round ? 1 : 0;
      Object.assign(progress, { numComputed: 0, parked: undefined, blockTables: [] });
      progress.round = undefined;
      // Nobody waits for what the host says of drafts that are given up.
      if (this.#hostPlans.get(id)?.round) this.#hostPlans.delete(id);
      progress.numPreemptions += 1;
      this.#untold.push(id);
      if (this.#running.some((other) => this.#isReady(other)))
        this.#startsAbove = Math.min(this.#startsAbove, progress.rank);
    }
  }

  /** Whoever did not run before, or was taken back and starts again in the same plan. */
  #startedBy({ rows, preempted }: WorkPlan) {
    return rows.filter(
      ({ sequenceId: id }) => !this.#running.includes(id) || preempted.includes(id),
    );
  }

  /** Neither done, nor waiting for the host or for what became of its drafts. */
  #isReady(id: number): boolean {
    const { request, numSampled, numRead, round } = this.progress.get(id)!;
    if (this.#hostPlans.has(id) || numSampled === request.maxTokens) return false;
    if (round?.isVerifying || this.#isUnseen(id)) return false;
    return !(request.needsHost || request.drafter?.waitsForHost) || numSampled === numRead;
  }

  /** Of its round, drafts that the host has yet to let pass. */
  #isUnseen(id: number): boolean {
    const { request, round } = this.progress.get(id)!;
    if (!request.needsHost || !round || round.numFitting !== undefined) return false;
    return round.numDrafted === round.numDrafts;
  }

  /** In turn, also those that start again, whose ids are all known by then. */
  #start(id: number, numHitTokens: number, isSwapped: boolean): void {
    const progress = this.progress.get(id)!;
    const { blockTokens = 32, prefixCache = false, maxHostBlocks = 0, kvGroups } = this.#config;
    // A token that sees itself alone needs nothing of what came before, so there is nothing to copy.
    const keeps = this.#planOf(id)?.keeps;
    const needsNothing =
      maxHostBlocks > 0 && kvGroups.every(({ window }, g) => window === 1 || keeps?.[g] === false);
    const isCached = numHitTokens === 0 || (prefixCache && numHitTokens % blockTokens === 0);
    const { forkOf, promptTokens } = progress.request;
    const isForked = numHitTokens === promptTokens.length - 1 && this.#hasPrompt(forkOf);
    const isKept = isSwapped || (needsNothing && progress.numPreemptions > 0);
    assert(isCached || isForked || isKept, `begins with ${numHitTokens} tokens`);
    assert(!progress.attends, "begins before its parent's prompt is planned");
    progress.numSwapIns += isSwapped ? 1 : 0;
    progress.numForks += isForked && !isSwapped && numHitTokens > 0 ? 1 : 0;
    progress.numComputed = numHitTokens;
    progress.numHitTokens += numHitTokens;
    const { numRead, numSampled, numUnreadRounds } = progress;
    assert.equal(numRead, numSampled, "starts again with ids that the host does not know");
    assert.equal(numUnreadRounds, 0, "starts again before its drafts are read");
    const rank = this.#rankOf(id);
    assert(rank < this.#startsAbove, "starts beside one taken back");
    for (const [earlier, { state, attends }] of this.progress) {
      if (earlier === id) break;
      if (state !== "live" || attends || this.#running.includes(earlier)) continue;
      assert(!this.#goesBefore(earlier, id), `${id} overtakes ${earlier}`);
    }
    Object.assign(progress, { rank, numStarts: progress.numStarts + 1 });
    const at = this.#running.findIndex((other) => this.progress.get(other)!.rank > rank);
    this.#running.splice(at < 0 ? this.#running.length : at, 0, id);
  }

  /** Where only class and arrival count; what clients and deadlines change has tests of its own. */
  #goesBefore(earlier: number, later: number): boolean {
    const [a, b] = [this.progress.get(earlier)!, this.progress.get(later)!];
    const [{ client, program }, other] = [a.request, b.request];
    if (client !== other.client || program !== other.program) return false;
    if (other.deadlineMs !== undefined) return false;
    if (this.#rankOf(earlier) !== this.#rankOf(later))
      return this.#rankOf(earlier) < this.#rankOf(later);
    return a.numStarts > 0 || b.numStarts === 0;
  }

  #rankOf(id: number): number {
    const { request, arrivalMs } = this.progress.get(id)!;
    if (this.#config.order === "fcfs") return 0;
    const gained = Math.floor((this.nowMs - arrivalMs) / 30_000);
    return Math.max(0, PRIORITIES.indexOf(request.priority ?? "interactive") - gained);
  }

  #end(id: number, state: "finished" | "aborted"): void {
    this.progress.get(id)!.state = state;
    this.progress.get(id)!.round = undefined;
    for (const [key, owner] of this.#kept) if (owner === id) this.#kept.delete(key);
    for (const progress of this.progress.values())
      if (progress.request.forkOf === id) progress.attends = false;
    this.#hostPlans.delete(id);
    for (const list of [this.#running, this.#untold]) {
      const index = list.indexOf(id);
      if (index >= 0) list.splice(index, 1);
    }
  }

  /** Each takes a quantum at most, or is one sublayer; together they are the plan. */
  #checkSubmissions({ rows, predictedMs, submissions }: WorkPlan): void {
    const { quantumMs = Number.POSITIVE_INFINITY } = this.#config;
    assert.equal(submissions.at(-1)!.to, this.#numStages);
    if (predictedMs <= quantumMs) assert.equal(submissions.length, 1);
    const times = this.#stageTimes(rows);
    let from = 0;
    for (const { to, predictedMs: ms } of submissions) {
      assert(to > from, `a submission of stages ${from} to ${to}`);
      const own = times.slice(from, to).filter((time) => time > 0);
      const sum = own.reduce((total, time) => total + time, 0);
      assert(Math.abs(ms - sum) <= 1e-6 * sum, `${ms} ms, not ${sum}`);
      assert(ms <= quantumMs * (1 + 1e-6) || own.length === 1, `${ms} ms in one submission`);
      from = to;
    }
  }

  #checkBudget(plan: WorkPlan): void {
    const { rows, predictedMs } = plan;
    const { maxTokensPerPlan = 512, maxRows = 16, blockTokens = 32, costs } = this.#config;
    const numTokens = rows.reduce((sum, { tokens }) => sum + tokens.to - tokens.from, 0);
    assert(rows.length > 0 && rows.length <= maxRows, `${rows.length} rows`);
    assert(this.scheduler.numRunning <= maxRows, `${this.scheduler.numRunning} run`);
    assert(numTokens <= maxTokensPerPlan, `${numTokens} tokens`);
    const { maxParkedTokens = 0 } = this.#config;
    assert(this.#numParked() <= maxParkedTokens, `${this.#numParked()} tokens are parked`);
    if (costs === undefined) return;
    assert(Math.abs(predictedMs - this.#predictedMs(rows)) <= 1e-9 * predictedMs);
    this.#checkSubmissions(plan);
    // Past the quantum go only the reserved single tokens, chunks that take as long again, chunks
    // of at most a block in all, and one sublayer of a parked chunk.
    const isSingle = ({ tokens, kind }: PlannedRow) =>
      kind === "verify" || (tokens.from > 0 && tokens.to - tokens.from === 1);
    const chunks = rows
      .filter((row) => !isSingle(row))
      .map(({ tokens }) => tokens.to - tokens.from);
    const { quantumMs = Number.POSITIVE_INFINITY } = this.#config;
    const most = Math.max(quantumMs, 2 * this.#predictedMs(rows.filter(isSingle)));
    // Both are sums over stages, here in another order than the scheduler's.
    if (predictedMs <= most * (1 + 1e-9) || !chunks.some((count) => count > 1)) return;
    const { from, to } = rows.at(-1)!.stages;
    const numChunkTokens = chunks.reduce((sum, count) => sum + count, 0);
    const isOneSublayer = from > 0 && (to === from + 1 || from === this.#numStages - 2);
    assert(
      numChunkTokens <= blockTokens || (chunks.length === 1 && isOneSublayer),
      `chunks of ${chunks} tokens, stages ${from} to ${to}`,
    );
  }

  get #numStages(): number {
    return 2 * this.#config.numLayers + 2;
  }

  #numParked(): number {
    const parked = [...this.progress.values()].filter(({ state }) => state === "live");
    return parked.reduce((sum, p) => sum + (p.parked ? p.parked.to - p.numComputed : 0), 0);
  }

  #predictedMs(rows: readonly PlannedRow[]): number {
    return this.#stageTimes(rows).reduce((sum, ms) => sum + ms, 0);
  }

  /** Each stage costs what the rows do that run it; those of a row without a plan cost 1 together. */
  #stageTimes(rows: readonly PlannedRow[]): number[] {
    const { costs, layerPlan } = this.#config;
    let numStandard = 0;
    const times = new Array<number>(this.#numStages).fill(0);
    for (let stage = 1; stage < this.#numStages - 1; stage++) {
      numStandard += runsStage(layerPlan, stage) ? 1 : 0;
      const running = rows.filter(
        ({ stages: { from, to }, layerPlan }) =>
          from <= stage && stage < to && runsStage(layerPlan, stage),
      );
      if (running.length > 0) times[stage] = costs!.predictMs(workOf(running));
    }
    return times.map((ms) => ms / numStandard);
  }

  /** What it runs unless it drafts. */
  #planOf(id: number): LayerPlan | undefined {
    return this.progress.get(id)!.request.layerPlan ?? this.#config.layerPlan;
  }

  #planAt(id: number, token: number): LayerPlan | undefined {
    const { promptTokens, alternation } = this.progress.get(id)!.request;
    const behind = token - promptTokens.length;
    const runsLess = alternation && behind >= 0 && behind % alternation.period > 0;
    return runsLess ? alternation.layerPlan : this.#planOf(id);
  }

  #isLive(id: number | undefined): boolean {
    return id !== undefined && this.progress.get(id)?.state === "live";
  }

  /** It runs, and plans that were made compute its prompt but for the last token. */
  #hasPrompt(id: number | undefined): boolean {
    if (id === undefined || !this.#running.includes(id)) return false;
    const { request, numComputed } = this.progress.get(id)!;
    return numComputed >= request.promptTokens.length - 1;
  }

  /** And no more than one token is left to compute. */
  #isForkable(id: number | undefined): boolean {
    if (id === undefined || !this.#hasPrompt(id)) return false;
    const { request, numComputed, numSampled } = this.progress.get(id)!;
    return request.promptTokens.length + numSampled - numComputed <= 1;
  }

  /** From the parent's tail to the tail of a fork that starts, and no two of them in conflict. */
  #checkCopies({ copies }: WorkPlan, started: readonly PlannedRow[]): void {
    const key = (group: number, block: number) => `${group} ${block}`;
    const targets = new Set(copies.map(({ group, to }) => key(group, to)));
    assert.equal(targets.size, copies.length);
    for (const { group, from, to } of copies) {
      assert(from > 0 && to > 0 && !targets.has(key(group, from)));
      const { blockTokens = 32 } = this.#config;
      const tailOf = (row: PlannedRow) => Math.floor(row.tokens.from / blockTokens);
      const fork = started.find((row) => row.blockTables[group][tailOf(row)] === to)!;
      const { forkOf } = this.progress.get(fork.sequenceId)!.request;
      assert.equal(this.progress.get(forkOf!)!.blockTables[group][tailOf(fork)], from);
      assert(fork.tokens.from % blockTokens > 0, "a copy of a full block");
    }
  }

  /** Out goes what was taken back, in comes what the host has by now. */
  #checkSwaps({ swapOut, swapIn, preempted, rows }: WorkPlan): void {
    const numCommitted = this.plans.length - 1 - this.#unread.length;
    for (const { sequenceId } of swapOut) assert(preempted.includes(sequenceId));
    for (const swap of swapIn) {
      const row = rows.find(({ sequenceId }) => sequenceId === swap.sequenceId);
      assert.equal(row?.blockTables[swap.group][swap.index], swap.block);
      const planId = this.#device.swappedBy(swap);
      assert(planId !== undefined && planId < numCommitted, "comes before it has arrived");
    }
    for (const { sequenceId, group, index } of swapOut)
      this.#kept.set(`${sequenceId}/${group}/${index}`, sequenceId);
    const { maxHostBlocks = 0 } = this.#config;
    assert(this.#kept.size <= maxHostBlocks, `the host keeps ${this.#kept.size} blocks`);
  }

  #checkRows({ rows }: WorkPlan): void {
    assert.equal(new Set(rows.map((row) => row.sequenceId)).size, rows.length);
    for (const row of rows) {
      const { sequenceId, kind, stages, blockTables } = row;
      const progress = this.progress.get(sequenceId)!;
      assert.equal(progress.state, "live");
      assert(!this.#hostPlans.has(sequenceId), "runs before the host is done with it");
      assert(this.#running.includes(sequenceId));
      const keeps = this.#planOf(sequenceId)?.keeps;
      blockTables.forEach((table, group) => {
        assert.equal(table.length > 0, keeps?.[group] ?? true);
      });
      progress.blockTables = blockTables;
      // One row at most, the last, runs some stages alone.
      if (stages.from > 0 || stages.to !== this.#numStages)
        assert.equal(sequenceId, rows.at(-1)!.sequenceId);
      if (kind === "compute") this.#checkCompute(row, progress);
      else this.#checkRound(row, progress);
    }
  }

  #checkCompute(row: PlannedRow, progress: Progress): void {
    const { sequenceId, tokens, sample, stages, layerPlan, drafts } = row;
    const { request, parked } = progress;
    const numTokens = request.promptTokens.length + progress.numSampled;
    assert.equal(progress.round, undefined, "computes while it drafts");
    for (let token = tokens.from; token < tokens.to; token++)
      assert.equal(layerPlan, this.#planAt(sequenceId, token));
    assert.equal(drafts, undefined);
    assert.equal(tokens.from, progress.numComputed);
    assert(tokens.to > tokens.from && tokens.to <= numTokens, `tokens up to ${tokens.to}`);
    assert.equal(stages.from, parked?.stage ?? 0);
    if (parked) assert.equal(tokens.to, parked.to);
    const isWhole = stages.to === this.#numStages;
    assert(isWhole || (stages.to > stages.from && stages.to < this.#numStages - 1));
    assert.equal(sample, isWhole && tokens.to === numTokens);
    progress.parked = isWhole ? undefined : { to: tokens.to, stage: stages.to };
    if (isWhole) progress.numComputed = tokens.to;
    progress.numSampled += sample ? 1 : 0;
    assert(progress.numSampled <= request.maxTokens, `${progress.numSampled} samples`);
  }

  /** Drafts one after another from the last token on, and then all of them at once. */
  #checkRound(row: PlannedRow, progress: Progress): void {
    const { sequenceId, tokens, kind, sample, stages, layerPlan, drafts } = row;
    const { request, numComputed: from, numSampled, proposal } = progress;
    assert(drafts, "a round of no drafts");
    const total = drafts.to - drafts.from;
    progress.round ??= { numDrafts: total, numDrafted: 0, drafts: [], isVerifying: false };
    const { round } = progress;
    assert(!round.isVerifying, "goes on before its drafts are read");
    assert(sample && stages.from === 0 && stages.to === this.#numStages);
    assert.equal(progress.parked, undefined);
    assert.equal(from + 1, request.promptTokens.length + numSampled, "drafts behind a gap");
    assert.equal(drafts.from, from + 1);
    if (kind === "draft") {
      const first = from + round.numDrafted;
      assert.deepEqual(tokens, { from: first, to: first + 1 });
      const { drafter } = request;
      if (drafter instanceof ScriptedDrafter) assert(drafter.layerPlans.includes(layerPlan!));
      round.numDrafted += 1;
    } else {
      const numDrafts = tokens.to - tokens.from - 1;
      assert(tokens.from === from && numDrafts === total, `verifies ${numDrafts} drafts`);
      assert(numDrafts > 0 || round.numFitting === 0, "verifies nothing");
      assert.equal(layerPlan, this.#planOf(sequenceId));
      if (round.numDrafted > 0) {
        assert.equal(round.numDrafted, round.numDrafts);
        assert.equal(numDrafts, request.needsHost ? round.numFitting : round.numDrafted);
      } else {
        assert.equal(numSampled, progress.numRead, "proposes behind an unread token");
        assert(numDrafts <= proposal.length, `${numDrafts} of ${proposal.length} proposed`);
        round.drafts.push(...proposal.slice(0, numDrafts));
      }
      round.isVerifying = true;
      progress.numUnreadRounds += 1;
    }
    const numDrafts = Math.max(round.numDrafted, round.drafts.length);
    assert(numDrafts <= request.drafter!.max);
    assert(numSampled + numDrafts < request.maxTokens, "drafts past the most tokens");
  }

  /** A bound on what the device must hold for them, and on what it samples at once. */
  #checkDrafts({ rows }: WorkPlan): void {
    const { maxRows = 16, maxDraftTokens = 0 } = this.#config;
    let numDrafts = 0;
    for (const { round } of this.progress.values())
      if (round) numDrafts += Math.max(round.numDrafted, round.drafts.length);
    assert(numDrafts <= maxDraftTokens, `${numDrafts} drafts under way`);
    let numSamples = 0;
    for (const { sample, kind, tokens } of rows)
      if (sample) numSamples += kind === "verify" ? tokens.to - tokens.from : 1;
    assert(numSamples <= maxRows + maxDraftTokens, `${numSamples} samples`);
  }

  /** free + used = N; a block is in tables of live sequences that are alike up to its end, or free. */
  #checkBlocks(): void {
    const live = [...this.progress.values()].filter(({ state }) => state === "live");
    this.#capacity.forEach((capacity, group) => {
      const holders = new Map<number, { progress: Progress; index: number }>();
      for (const progress of live)
        progress.blockTables[group]?.forEach((block, index) => {
          if (block === 0) return;
          const first = holders.get(block);
          if (first === undefined) holders.set(block, { progress, index });
          else this.#checkShared(first, { progress, index });
        });
      assert(Math.max(0, ...holders.keys()) <= capacity);
      const numUsed = capacity - this.scheduler.freeBlocks[group];
      assert.equal(this.scheduler.usage[group], numUsed / capacity);
      assert(numUsed >= holders.size, "a block of a live sequence is free");
      // Nobody but holds may have more.
      if (this.#heldSessions.size === 0) assert.equal(numUsed, holders.size);
    });
  }

  #familyOf({ request }: Progress): number {
    const { id, forkOf } = request;
    // A parent that was refused, for its length say, is nobody's.
    const parent = forkOf === undefined ? undefined : this.progress.get(forkOf);
    return parent ? this.#familyOf(parent) : id;
  }

  #checkShared(...[a, b]: { progress: Progress; index: number }[]): void {
    const { prefixCache = false, blockTokens = 32 } = this.#config;
    const isFamily = this.#familyOf(a.progress) === this.#familyOf(b.progress);
    assert(
      (prefixCache || isFamily) && a.progress !== b.progress && a.index === b.index,
      "a block is twice there",
    );
    assert.equal(a.progress.request.cacheSalt, b.progress.request.cacheSalt);
    const [planA, planB] = [a, b].map(({ progress }) => progress.request.layerPlan);
    assert.equal(planA?.hash, planB?.hash, "layer plans share a block");
    const [idsA, idsB] = [a, b].map(({ progress: { request, ids }, index }) =>
      [...request.promptTokens, ...ids].slice(0, (index + 1) * blockTokens),
    );
    assert.deepEqual(idsA, idsB);
    const end = (a.index + 1) * blockTokens;
    assert.equal(idsA.length, end, "shared before it was full");
    for (const { progress } of [a, b]) {
      const { alternation, promptTokens } = progress.request;
      assert(!alternation || end <= promptTokens.length, "shares what takes turns");
    }
  }
}

const runsStage = (plan: LayerPlan | undefined, stage: number): boolean =>
  plan?.runs[stage] ?? true;

function workOf(rows: readonly PlannedRow[]): PlanWork {
  let [numTokens, numKvTokens, numAttended] = [0, 0, 0];
  for (const { tokens } of rows) {
    const count = tokens.to - tokens.from;
    numTokens += count;
    numKvTokens += tokens.to;
    // Σ (position + 1)
    numAttended += count * (tokens.from + (count + 1) / 2);
  }
  return { numTokens, numKvTokens, numAttended };
}
