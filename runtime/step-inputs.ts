/**
 * A work plan as the typed arrays that kernels read: one buffer, one region per input, sized once
 * for the largest plan. Owns the translation of tokens to positions, slots and block tables.
 */
import {
  type AttentionRange,
  type AttentionWorkDims,
  attentionWork,
} from "../kernels/attention-work.ts";
import { FROM_SLOT } from "../kernels/embedding.ts";
import type { BufferSlice } from "../kernels/kernel.ts";
import type { LayerGroup } from "../models/decoder.ts";
import type { StepSizes } from "../models/graph.ts";
import type { PlannedRow } from "../scheduler/work-plan.ts";
import { alignUp, type Device, type DeviceBuffer } from "./device.ts";

export interface StepRow {
  readonly planned: PlannedRow;
  /** Prompt and sampled ids that the host knows; a token beyond is read from `slot`. */
  readonly ids: ArrayLike<number>;
  /** Where the sampler leaves this sequence's last id. */
  readonly slot: number;
  /** 0, the default, is the base model. */
  readonly adapter?: number;
}

export interface StepLimits {
  readonly maxTokens: number;
  readonly maxRows: number;
  readonly maxLogitRows: number;
  readonly blockTokens: number;
  /** M: columns of a block table. */
  readonly maxBlocks: number;
  /** KV tiles that split decode has scratch for. */
  readonly maxDecodeTiles: number;
  readonly numStages: number;
  readonly hasAdapters: boolean;
}

type SharedInput = "token_ids" | "sampled_rows" | "row_adapters" | "sampled_adapters";
type AttentionInput =
  | "token_places"
  | "block_table"
  | "decode_tiles"
  | "decode_rows"
  | "query_tiles";
type GroupInput = AttentionInput | "tap_slots";

export class StepInputs {
  readonly #device: Device;
  readonly #buffer: DeviceBuffer;
  readonly #slices: ReadonlyMap<string, BufferSlice>;
  readonly #limits: StepLimits;
  readonly #groups: readonly LayerGroup[];

  private constructor(
    device: Device,
    buffer: DeviceBuffer,
    slices: ReadonlyMap<string, BufferSlice>,
    limits: StepLimits,
    groups: readonly LayerGroup[],
  ) {
    this.#device = device;
    this.#buffer = buffer;
    this.#slices = slices;
    this.#limits = limits;
    this.#groups = groups;
  }

  static async create(
    device: Device,
    limits: StepLimits,
    groups: readonly LayerGroup[],
  ): Promise<StepInputs> {
    const { maxTokens, maxRows, maxLogitRows, maxBlocks, maxDecodeTiles } = limits;
    const words: [string, number][] = [
      ["token_ids", maxTokens],
      ["sampled_rows", maxLogitRows],
      ["row_adapters", maxTokens],
      ["sampled_adapters", maxLogitRows],
    ];
    for (const [index, { taps }] of groups.entries()) {
      if (taps !== undefined) {
        words.push([`tap_slots.${index}`, taps * maxTokens]);
        continue;
      }
      words.push(
        [`token_places.${index}`, 2 * maxTokens],
        [`block_table.${index}`, maxRows * maxBlocks],
        [`decode_tiles.${index}`, 4 * Math.max(1, maxDecodeTiles)],
        [`decode_rows.${index}`, 3 * maxTokens],
        [`query_tiles.${index}`, 4 * maxTokens],
      );
    }
    let sizeBytes = 0;
    const places = words.map(([name, count]) => {
      const offsetBytes = alignUp(
        sizeBytes,
        Math.max(256, device.info.limits.offsetAlignmentBytes),
      );
      sizeBytes = offsetBytes + alignUp(4 * count, 16);
      return { name, offsetBytes, sizeBytes: alignUp(4 * count, 16) };
    });
    const buffer = await device.createBuffer("step_inputs", sizeBytes);
    const slices = new Map(
      places.map(({ name, ...place }): [string, BufferSlice] => [name, { buffer, ...place }]),
    );
    return new StepInputs(device, buffer, slices, limits, groups);
  }

  slice(name: SharedInput): BufferSlice {
    return this.#slices.get(name)!;
  }

  /** Undefined where a group of its kind has none. */
  groupSlice(name: GroupInput, group: number): BufferSlice {
    return this.#slices.get(`${name}.${group}`)!;
  }

  /**
   * Writes the inputs of one step; takes effect before the next submission.
   * @param logitRows Which rows of the step get logits; by default the last of each sampled row.
   * @returns Sizes of the step, and of the stages that its last row does not run.
   */
  write(
    rows: readonly StepRow[],
    logitRows?: readonly number[],
  ): { all: StepSizes; withoutLast: StepSizes } {
    const tokenIds: number[] = [];
    const adapters: number[] = [];
    const sampledRows: number[] = [];
    const ranges: AttentionRange[] = [];
    rows.forEach(({ planned, ids, slot, adapter = 0 }, sequence) => {
      const { from, to } = planned.tokens;
      ranges.push({
        firstRow: tokenIds.length,
        numRows: to - from,
        sequence,
        firstPosition: from,
      });
      for (let token = from; token < to; token++) {
        tokenIds.push(token < ids.length ? ids[token] : FROM_SLOT + slot);
        adapters.push(adapter);
      }
      if (planned.sample) sampledRows.push(tokenIds.length - 1);
    });
    const sampled = logitRows ?? sampledRows;
    this.#write("token_ids", tokenIds);
    this.#write("sampled_rows", sampled);
    if (this.#limits.hasAdapters) {
      this.#write("row_adapters", adapters);
      this.#write(
        "sampled_adapters",
        sampled.map((row) => adapters[row]),
      );
    }
    const attention = this.#groups.map((group, index) =>
      group.taps === undefined
        ? this.#writeGroup(rows, ranges, index, group.window ?? 0)
        : this.#writeTaps(rows, index, group.taps),
    );
    const all = { T: tokenIds.length, R: sampled.length, attention };
    const { stages } = rows.at(-1)!.planned;
    const isCut = stages.from > 0 || stages.to < this.#limits.numStages;
    return { all, withoutLast: isCut ? this.#sizes(ranges.slice(0, -1), all.R) : all };
  }

  /** Work lists grow row by row, so those of the first rows begin those of all. */
  #sizes(ranges: readonly AttentionRange[], R: number): StepSizes {
    const { blockTokens, maxDecodeTiles } = this.#limits;
    const attention = this.#groups.map(
      ({ window = 0, taps }) =>
        attentionWork(taps ? [] : ranges, blockTokens, { window, maxDecodeTiles }).dims,
    );
    return { T: ranges.reduce((sum, { numRows }) => sum + numRows, 0), R, attention };
  }

  #writeGroup(
    rows: readonly StepRow[],
    ranges: readonly AttentionRange[],
    group: number,
    window: number,
  ): AttentionWorkDims {
    const { blockTokens, maxBlocks, maxDecodeTiles } = this.#limits;
    const places: number[] = [];
    const tables = new Uint32Array(rows.length * maxBlocks);
    rows.forEach(({ planned }, sequence) => {
      const table = planned.blockTables[group];
      tables.set(table, sequence * maxBlocks);
      for (let token = planned.tokens.from; token < planned.tokens.to; token++) {
        const block = table[Math.floor(token / blockTokens)];
        places.push(token, block * blockTokens + (token % blockTokens));
      }
    });
    const work = attentionWork(ranges, blockTokens, { window, maxDecodeTiles });
    this.#write(`token_places.${group}`, places);
    this.#write(`block_table.${group}`, tables);
    this.#write(`decode_tiles.${group}`, work.decodeTiles);
    this.#write(`decode_rows.${group}`, work.decodeRows);
    this.#write(`query_tiles.${group}`, work.queryTiles);
    return work.dims;
  }

  /** Of a convolution: no attention. */
  #writeTaps(rows: readonly StepRow[], group: number, taps: number): AttentionWorkDims {
    const { blockTokens } = this.#limits;
    const slots: number[] = [];
    for (const { planned } of rows) {
      const table = planned.blockTables[group];
      for (let token = planned.tokens.from; token < planned.tokens.to; token++) {
        for (let seen = token + 1 - taps; seen <= token; seen++) {
          const block = table[Math.floor(seen / blockTokens)];
          slots.push(seen < 0 ? 0 : block * blockTokens + (seen % blockTokens));
        }
      }
    }
    this.#write(`tap_slots.${group}`, slots);
    return attentionWork([], blockTokens, { window: 0, maxDecodeTiles: 0 }).dims;
  }

  #write(name: string, values: readonly number[] | Uint32Array): void {
    if (values.length === 0) return;
    const words = values instanceof Uint32Array ? values : new Uint32Array(values);
    const { offsetBytes, sizeBytes } = this.#slices.get(name)!;
    if (words.byteLength > sizeBytes) {
      throw new Error(`step input ${name}: ${words.byteLength} bytes, room for ${sizeBytes}`);
    }
    this.#device.write(this.#buffer, offsetBytes, words);
  }
}
