/**
 * Inputs that say where the rows of a step lie: positions, KV slots and the work lists of attention, for
 * all rows, or once more for some that are packed together. Owns the translation of tokens to these.
 */
import {
  type AttentionRange,
  type AttentionWorkDims,
  attentionWork,
} from "../kernels/attention-work.ts";
import type { BufferSlice } from "../kernels/kernel.ts";
import type { LayerGroup } from "../models/decoder.ts";
import type { StepSizes } from "../models/step-sizes.ts";
import type { PlannedRow } from "../scheduler/work-plan.ts";
import type { StepLimits } from "./step-limits.ts";

/** Tokens of one sequence, one after another in the region. */
export interface RegionRow {
  readonly planned: PlannedRow;
  /** Row of `block_table`. */
  readonly sequence: number;
  readonly adapter: number;
}

/** By KV group; `tap_slots` where it convolves, the others where it attends. */
const GROUP_INPUTS = [
  "token_places",
  "tap_slots",
  "decode_tiles",
  "decode_rows",
  "query_tiles",
] as const;
export type GroupInput = (typeof GROUP_INPUTS)[number];

/** Words of each input; its name is unique in a region. */
export function regionWords(
  { maxTokens, maxDecodeTiles }: StepLimits,
  groups: readonly LayerGroup[],
): [string, number][] {
  return [
    ["row_adapters", maxTokens],
    ...groups.flatMap(({ taps }, index): [string, number][] => {
      if (taps !== undefined) return [[`tap_slots.${index}`, taps * maxTokens]];
      return [
        [`token_places.${index}`, 2 * maxTokens],
        [`decode_tiles.${index}`, 4 * Math.max(1, maxDecodeTiles)],
        [`decode_rows.${index}`, 3 * maxTokens],
        [`query_tiles.${index}`, 4 * maxTokens],
      ];
    }),
  ];
}

export class InputRegion {
  readonly #limits: StepLimits;
  readonly #groups: readonly LayerGroup[];
  readonly #slice: (name: string) => BufferSlice;
  readonly #write: (name: string, values: readonly number[] | Uint32Array) => void;

  constructor(
    limits: StepLimits,
    groups: readonly LayerGroup[],
    memory: {
      slice(name: string): BufferSlice;
      write(name: string, values: readonly number[] | Uint32Array): void;
    },
  ) {
    this.#limits = limits;
    this.#groups = groups;
    this.#slice = (name) => memory.slice(name);
    this.#write = (name, values) => memory.write(name, values);
  }

  get rowAdapters(): BufferSlice {
    return this.#slice("row_adapters");
  }

  /** Undefined where a group of its kind has none. */
  groupSlice(name: GroupInput, group: number): BufferSlice {
    return this.#slice(`${name}.${group}`);
  }

  /** Each of its own slices, and what stands for it in another region. */
  *slicesIn(other: InputRegion): Iterable<[BufferSlice, BufferSlice]> {
    yield [this.rowAdapters, other.rowAdapters];
    for (const group of this.#groups.keys())
      for (const name of GROUP_INPUTS) {
        const own = this.groupSlice(name, group);
        if (own) yield [own, other.groupSlice(name, group)];
      }
  }

  /** @returns Sizes of attention by KV group. */
  write(rows: readonly RegionRow[]): AttentionWorkDims[] {
    if (this.#limits.hasAdapters) {
      const adapters = rows.flatMap(({ planned: { tokens }, adapter }) =>
        new Array<number>(tokens.to - tokens.from).fill(adapter),
      );
      this.#write("row_adapters", adapters);
    }
    return this.#groups.map(({ window = 0, taps }, group) =>
      taps === undefined
        ? this.#writeAttention(rows, group, window)
        : this.#writeTaps(rows, group, taps),
    );
  }

  /** Of rows that a region begins with, while it holds more: work lists grow row by row. */
  sizes(rows: readonly RegionRow[], R: number): StepSizes {
    const { blockTokens, maxDecodeTiles } = this.#limits;
    const attention = this.#groups.map(({ window = 0, taps }, group) => {
      const ranges = taps ? [] : rangesOf(rows, group);
      return attentionWork(ranges, blockTokens, { window, maxDecodeTiles }).dims;
    });
    return { T: countTokens(rows), R, attention };
  }

  #writeAttention(rows: readonly RegionRow[], group: number, window: number): AttentionWorkDims {
    const { blockTokens, maxDecodeTiles } = this.#limits;
    const places: number[] = [];
    for (const { planned } of rows) {
      const { tokens, blockTables, layerPlan } = planned;
      const table = (layerPlan?.keeps[group] ?? true) ? blockTables[group] : [];
      const first = firstPlace(planned, group);
      for (let token = tokens.from; token < tokens.to; token++) {
        places.push(token, slotOf(table, first + token - tokens.from, blockTokens));
      }
    }
    const work = attentionWork(rangesOf(rows, group), blockTokens, { window, maxDecodeTiles });
    this.#write(`token_places.${group}`, places);
    this.#write(`decode_tiles.${group}`, work.decodeTiles);
    this.#write(`decode_rows.${group}`, work.decodeRows);
    this.#write(`query_tiles.${group}`, work.queryTiles);
    return work.dims;
  }

  /** Of a convolution: no attention. */
  #writeTaps(rows: readonly RegionRow[], group: number, taps: number): AttentionWorkDims {
    const { blockTokens } = this.#limits;
    const slots: number[] = [];
    for (const { planned } of rows) {
      const table = planned.blockTables[group];
      for (let token = planned.tokens.from; token < planned.tokens.to; token++) {
        for (let seen = token + 1 - taps; seen <= token; seen++) {
          slots.push(seen < 0 ? 0 : slotOf(table, seen, blockTokens));
        }
      }
    }
    this.#write(`tap_slots.${group}`, slots);
    return attentionWork([], blockTokens, { window: 0, maxDecodeTiles: 0 }).dims;
  }
}

/** In the trash block where a token keeps nothing in the group: no stage of it reads that. */
const slotOf = (table: readonly number[], place: number, blockTokens: number): number =>
  (table[Math.floor(place / blockTokens)] ?? 0) * blockTokens + (place % blockTokens);

export const countTokens = (rows: readonly { readonly planned: PlannedRow }[]): number =>
  rows.reduce((sum, { planned: { tokens } }) => sum + tokens.to - tokens.from, 0);

/** In the block table of a group: attention counts places, and only RoPE the tokens. */
const firstPlace = ({ tokens, places }: PlannedRow, group: number): number =>
  places?.[group] ?? tokens.from;

function rangesOf(rows: readonly RegionRow[], group: number): AttentionRange[] {
  let firstRow = 0;
  return rows.map(({ planned, sequence }) => {
    const numRows = planned.tokens.to - planned.tokens.from;
    const range = { firstRow, numRows, sequence, firstPosition: firstPlace(planned, group) };
    firstRow += numRows;
    return range;
  });
}
