// A deterministic device without a GPU. Its KV pools hold real contents: a row reads through its
// block tables only, so a block that was freed too early, shared or skipped changes the ids.

import type {
  BlockCopy,
  BlockSwap,
  KvGroup,
  LayerPlan,
  PlannedRow,
  SequenceId,
  SequenceRequest,
  WorkPlan,
} from "../../scheduler/index.ts";

/** A request with token values, and a stop rule on them. */
export interface FakeRequest
  extends Omit<SequenceRequest, "numPromptTokens" | "promptIds" | "pausesAt"> {
  readonly promptTokens: readonly number[];
  /** A sampled id that it divides is a stop token. */
  readonly stopEvery: number;
  /** So is the sampled id of this number, counted from 1. */
  readonly stopAfter?: number;
  /** Each token goes through the host before the next, and so do drafts; of some it lets none pass. */
  readonly needsHost?: boolean;
  /** Of one that needs the host: plans that are asked for before the host is done with a token. */
  readonly hostDelay?: number;
}

const POISON = -1;
const VOCAB = 1009;

/** Activations of rows of which some stages have run. */
interface Parked {
  readonly from: number;
  readonly stage: number;
  readonly hidden: readonly number[];
}

/**
 * One layer per KV group: what a layer writes depends on all that the layer below saw. What a draft
 * writes is marked, and none but drafts may read it.
 */
export class FakeDevice {
  readonly #groups: readonly KvGroup[];
  readonly #blockTokens: number;
  readonly #pools: Int32Array[];
  readonly #tokens = new Map<number, number[]>();
  readonly #parked = new Map<number, Parked>();
  /** Of the latest round, behind the tokens. */
  readonly #drafts = new Map<number, number[]>();
  /** By token: what requests that draft should come to, their prompts included. */
  readonly #answers = new Map<number, readonly number[]>();
  readonly #host = new Map<string, { readonly planId: number; readonly values: Int32Array }>();

  constructor(groups: readonly KvGroup[], blockTokens: number) {
    this.#groups = groups;
    this.#blockTokens = blockTokens;
    this.#pools = groups.map(({ numBlocks }) =>
      new Int32Array(numBlocks * blockTokens).fill(POISON),
    );
  }

  /** @param answer What most drafts guess; none for a request that does not draft. */
  addPrompt({ id, promptTokens }: FakeRequest, answer: readonly number[] = []): void {
    this.#tokens.set(id, [...promptTokens]);
    this.#answers.set(id, [...promptTokens, ...answer]);
  }

  /** The host has read a round of drafts, and these stand. */
  learn(id: SequenceId, ids: readonly number[]): void {
    this.#tokens.get(id)!.push(...ids);
  }

  /** A new device that knows nothing but the ids that the host has read. */
  replace(known: ReadonlyMap<number, readonly number[]>): void {
    for (const pool of this.#pools) pool.fill(POISON);
    this.#parked.clear();
    this.#drafts.clear();
    this.#host.clear();
    for (const [id, ids] of known) this.#tokens.set(id, [...ids]);
  }

  /** The plan that read the block out; the host has it when that plan is committed. */
  swappedBy(swap: BlockSwap): number | undefined {
    return this.#host.get(keyOf(swap))?.planId;
  }

  /**
   * Runs plans in the order given, as a GPU's queue does.
   * @param proposed Drafts of rows that verify what the host proposes.
   * @returns Ids of each row that samples.
   */
  execute(plan: WorkPlan, proposed: ReadonlyMap<SequenceId, readonly number[]>): number[][] {
    for (const id of plan.preempted) this.#parked.delete(id);
    for (const swap of plan.swapOut)
      this.#host.set(keyOf(swap), {
        planId: plan.id,
        values: this.#block(swap.group, swap.block).slice(),
      });
    for (const swap of plan.swapIn)
      this.#block(swap.group, swap.block).set(this.#host.get(keyOf(swap))!.values);
    this.#copy(plan.copies);
    for (const [id, drafts] of proposed) this.#drafts.set(id, [...drafts]);
    const hidden = plan.rows.map((row) => this.#begin(row));
    const numStages = 2 * this.#groups.length + 2;
    for (let stage = 1; stage < numStages - 1; stage++) {
      const isThere = ({ stages: { from, to } }: PlannedRow) => from <= stage && stage < to;
      const there = [...plan.rows.entries()].filter(([, row]) => isThere(row));
      const rows = there.filter(([, { layerPlan }]) => layerPlan?.runs[stage] ?? true);
      const filling = there.filter(([, { layerPlan }]) => layerPlan?.fills?.[stage]);
      for (const [r, row] of filling) this.#write((stage - 1) / 2, row, hidden[r]);
      if (stage % 2 === 1) this.#attend((stage - 1) / 2, rows, hidden);
      else for (const [r] of rows) hidden[r] = hidden[r].map(mlp);
    }
    return plan.rows.flatMap((row, r) => {
      const { sequenceId, stages, tokens, sample } = row;
      if (stages.to < numStages)
        this.#parked.set(sequenceId, { from: tokens.from, stage: stages.to, hidden: hidden[r] });
      return sample ? [this.#sample(row, hidden[r])] : [];
    });
  }

  /** All at once: none reads what another writes. */
  #copy(copies: readonly BlockCopy[]): void {
    const contents = copies.map(({ group, from }) => this.#block(group, from).slice());
    copies.forEach(({ group, to }, i) => {
      this.#block(group, to).set(contents[i]);
    });
  }

  #block(group: number, block: number): Int32Array {
    const start = block * this.#blockTokens;
    return this.#pools[group].subarray(start, start + this.#blockTokens);
  }

  /** What the row's first stage reads: its tokens, or what an earlier plan left. */
  #begin(row: PlannedRow): readonly number[] {
    const { sequenceId, tokens, stages } = row;
    if (stages.from === 0) return this.#tokensOf(row);
    const parked = this.#parked.get(sequenceId);
    if (parked?.from !== tokens.from || parked.hidden.length !== tokens.to - tokens.from)
      throw new Error(`tokens ${tokens.from} to ${tokens.to} were not parked`);
    if (parked.stage !== stages.from) throw new Error(`parked at ${parked.stage}`);
    this.#parked.delete(sequenceId);
    return parked.hidden;
  }

  /** Prompt and samples, and then drafts. */
  #tokensOf({ sequenceId, tokens, kind, drafts: round }: PlannedRow): readonly number[] {
    const known = this.#tokens.get(sequenceId)!;
    if (kind !== "compute" && known.length !== round?.from)
      throw new Error(`drafts from ${round?.from} on behind ${known.length} tokens`);
    if (kind === "draft" && tokens.to === round?.from) this.#drafts.set(sequenceId, []);
    const drafts = kind === "compute" ? [] : this.#drafts.get(sequenceId)!;
    if (known.length + drafts.length < tokens.to)
      throw new Error("row reads a token that was not sampled yet");
    const numDrafts = Math.max(0, tokens.to - known.length);
    const firstDraft = Math.max(0, tokens.from - known.length);
    return [...known.slice(tokens.from, tokens.to), ...drafts.slice(firstDraft, numDrafts)];
  }

  #attend(
    group: number,
    rows: readonly (readonly [number, PlannedRow])[],
    hidden: (readonly number[])[],
  ): void {
    // All rows write before any row reads, as the kernels of one layer do.
    for (const [r, row] of rows) this.#write(group, row, hidden[r]);
    const { window } = this.#groups[group];
    for (const [r, row] of rows)
      hidden[r] = hidden[r].map((h, i) =>
        attend(h, firstPlace(group, row) + i, window, (p) => this.#read(group, row, p)),
      );
  }

  #write(group: number, row: PlannedRow, hidden: readonly number[]): void {
    hidden.forEach((h, i) => {
      if (row.layerPlan?.keeps[group] === false) throw new Error("writes what it does not keep");
      const slot = this.#slot(group, row, firstPlace(group, row) + i);
      this.#pools[group][slot] = row.kind === "draft" ? POISON - 1 - (h >>> 1) : h;
    });
  }

  #read(group: number, row: PlannedRow, position: number): number {
    const value = this.#pools[group][this.#slot(group, row, position)];
    if (value === POISON) throw new Error(`token ${position} was read but never written`);
    if (value < POISON && row.kind !== "draft")
      throw new Error(`token ${position} was read as a draft wrote it`);
    return Math.abs(value);
  }

  #slot(group: number, row: PlannedRow, position: number): number {
    const block = row.blockTables[group][Math.floor(position / this.#blockTokens)];
    if (!(block > 0)) throw new Error(`token ${position} of ${row.sequenceId} has block ${block}`);
    return block * this.#blockTokens + (position % this.#blockTokens);
  }

  #sample({ sequenceId, tokens, kind }: PlannedRow, hidden: readonly number[]): number[] {
    if (kind === "verify") return hidden.map((h) => h % VOCAB);
    const known = this.#tokens.get(sequenceId)!;
    const last = hidden[hidden.length - 1];
    if (kind === "draft") {
      const drafts = this.#drafts.get(sequenceId)!;
      if (known.length + drafts.length !== tokens.to) throw new Error("a draft was drafted twice");
      const right = this.#answers.get(sequenceId)![tokens.to];
      drafts.push(last % 4 > 0 ? (right ?? 0) : last % VOCAB);
      return drafts.slice(-1);
    }
    if (known.length !== tokens.to) throw new Error("sampled from another than the last token");
    known.push(last % VOCAB);
    return known.slice(-1);
  }
}

const firstPlace = (group: number, { places, tokens }: PlannedRow): number =>
  places?.[group] ?? tokens.from;

const keyOf = ({ sequenceId, group, index }: BlockSwap): string =>
  `${sequenceId}/${group}/${index}`;

/**
 * What the request yields alone: no blocks, no plans, no neighbours, no drafts.
 * @param standard Layer plan of a request that names none.
 */
export function expectedIds(
  request: FakeRequest,
  groups: readonly KvGroup[],
  standard?: LayerPlan,
): number[] {
  const own = request.layerPlan ?? standard;
  const { alternation, promptTokens } = request;
  const layers: number[][] = groups.map(() => []);
  const ids: number[] = [];
  const tokens = [...request.promptTokens];
  for (let position = 0; ids.length < request.maxTokens; position++) {
    let hidden = tokens[position];
    const behind = position - promptTokens.length;
    const runsLess = alternation && behind >= 0 && behind % alternation.period > 0;
    const { runs, keeps } = (runsLess ? alternation.layerPlan : own) ?? {};
    groups.forEach((group, g) => {
      if (!runsLess || keeps?.[g]) layers[g].push(hidden);
      if (runs?.[2 * g + 1] ?? true)
        hidden = attend(hidden, layers[g].length - 1, group.window, (p) => layers[g][p]);
      if (runs?.[2 * g + 2] ?? true) hidden = mlp(hidden);
    });
    if (position < tokens.length - 1) continue;
    const id = hidden % VOCAB;
    tokens.push(id);
    ids.push(id);
    if (isStop(id, ids.length, request)) break;
  }
  return ids;
}

/** @param count Ids sampled so far, this one included. */
export function isStop(id: number, count: number, { stopEvery, stopAfter }: FakeRequest): boolean {
  return id % stopEvery === 0 || count === stopAfter;
}

const mlp = (hidden: number): number => (Math.imul(hidden, 17) + 5) & 0x7fffffff;

function attend(
  hidden: number,
  position: number,
  window: number | undefined,
  value: (position: number) => number,
): number {
  let mixed = hidden;
  const first = window === undefined ? 0 : Math.max(0, position - window + 1);
  for (let p = first; p <= position; p++) mixed = (Math.imul(mixed, 31) + value(p)) & 0x7fffffff;
  return mixed;
}
