// A deterministic device without a GPU. Its KV pools hold real contents: a row reads through its
// block tables only, so a block that was freed too early, shared or skipped changes the ids.

import type { KvGroup, PlannedRow, SequenceRequest, WorkPlan } from "../../scheduler/index.ts";

/** A request with token values, and a stop rule on them. */
export interface FakeRequest extends Omit<SequenceRequest, "numPromptTokens" | "promptIds"> {
  readonly promptTokens: readonly number[];
  /** A sampled id that it divides is a stop token. */
  readonly stopEvery: number;
  /** So is the sampled id of this number, counted from 1. */
  readonly stopAfter?: number;
  /** Of one that needs the host: plans that are asked for before the host is done with a token. */
  readonly hostDelay?: number;
}

const POISON = -1;
const VOCAB = 1009;

/** One layer per KV group: what a layer writes depends on all that the layer below saw. */
export class FakeDevice {
  readonly #groups: readonly KvGroup[];
  readonly #blockTokens: number;
  readonly #pools: Int32Array[];
  readonly #tokens = new Map<number, number[]>();

  constructor(groups: readonly KvGroup[], blockTokens: number) {
    this.#groups = groups;
    this.#blockTokens = blockTokens;
    this.#pools = groups.map(({ numBlocks }) =>
      new Int32Array(numBlocks * blockTokens).fill(POISON),
    );
  }

  addPrompt({ id, promptTokens }: FakeRequest): void {
    this.#tokens.set(id, [...promptTokens]);
  }

  /** A new device that knows nothing but the ids that the host has read. */
  replace(known: ReadonlyMap<number, readonly number[]>): void {
    for (const pool of this.#pools) pool.fill(POISON);
    for (const [id, ids] of known) this.#tokens.set(id, [...ids]);
  }

  /** Runs plans in the order given, as a GPU's queue does. @returns Ids of the sampled rows. */
  execute(plan: WorkPlan): number[] {
    const hidden = plan.rows.map(({ sequenceId, tokens }) => {
      const known = this.#tokens.get(sequenceId)!;
      if (known.length < tokens.to) throw new Error(`row reads a token that was not sampled yet`);
      return known.slice(tokens.from, tokens.to);
    });
    this.#groups.forEach((group, g) => {
      // All rows write before any row reads, as the kernels of one layer do.
      plan.rows.forEach((row, r) => {
        this.#write(g, row, hidden[r]);
      });
      plan.rows.forEach((row, r) => {
        hidden[r] = hidden[r].map((h, i) =>
          attend(h, row.tokens.from + i, group.window, (p) => this.#read(g, row, p)),
        );
      });
    });
    return plan.rows.flatMap((row, r) => (row.sample ? [this.#sample(row, hidden[r])] : []));
  }

  #write(group: number, row: PlannedRow, hidden: readonly number[]): void {
    hidden.forEach((h, i) => {
      this.#pools[group][this.#slot(group, row, row.tokens.from + i)] = h;
    });
  }

  #read(group: number, row: PlannedRow, position: number): number {
    const value = this.#pools[group][this.#slot(group, row, position)];
    if (value === POISON) throw new Error(`token ${position} was read but never written`);
    return value;
  }

  #slot(group: number, row: PlannedRow, position: number): number {
    const block = row.blockTables[group][Math.floor(position / this.#blockTokens)];
    if (!(block > 0)) throw new Error(`token ${position} of ${row.sequenceId} has block ${block}`);
    return block * this.#blockTokens + (position % this.#blockTokens);
  }

  #sample({ sequenceId, tokens }: PlannedRow, hidden: readonly number[]): number {
    const known = this.#tokens.get(sequenceId)!;
    if (known.length !== tokens.to) throw new Error("sampled from another than the last token");
    const id = hidden[hidden.length - 1] % VOCAB;
    known.push(id);
    return id;
  }
}

/** What the request yields alone: no blocks, no plans, no neighbours. */
export function expectedIds(request: FakeRequest, groups: readonly KvGroup[]): number[] {
  const layers: number[][] = groups.map(() => []);
  const ids: number[] = [];
  const tokens = [...request.promptTokens];
  for (let position = 0; ids.length < request.maxTokens; position++) {
    let hidden = tokens[position];
    groups.forEach((group, g) => {
      layers[g].push(hidden);
      hidden = attend(hidden, position, group.window, (p) => layers[g][p]);
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
