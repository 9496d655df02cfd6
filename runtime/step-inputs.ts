/**
 * A work plan as the typed arrays that kernels read: one buffer, one region per input, sized once
 * for the largest plan.
 */
import { FROM_SLOT } from "../kernels/embedding.ts";
import type { BufferSlice } from "../kernels/kernel.ts";
import type { LayerGroup } from "../models/decoder.ts";
import type { StepSizes } from "../models/step-sizes.ts";
import type { PlannedRow } from "../scheduler/work-plan.ts";
import { alignUp, type Device, type DeviceBuffer } from "./device.ts";
import { countTokens, InputRegion, type RegionRow, regionWords } from "./input-region.ts";
import type { Pooling } from "./pooling.ts";
import type { StepLimits } from "./step-limits.ts";

export interface StepRow {
  readonly planned: PlannedRow;
  /** Prompt and sampled ids that the host knows; a token beyond is read from `slot`. */
  readonly ids: ArrayLike<number>;
  /** Where the sampler leaves this sequence's last id. */
  readonly slot: number;
  /** 0, the default, is the base model. */
  readonly adapter?: number;
  /** Of a text that becomes an embedding: its ids are all there are. */
  readonly pooling?: Pooling;
  /** Of tokens that are drafts: the ids that the host proposed, or where the sampler left the first. */
  readonly drafts?: {
    readonly from: number;
    readonly slot: number;
    readonly ids?: readonly number[];
  };
}

/** Times that rows of a submission may be packed, each time others. */
export const MAX_PACKS = 4;

type SharedInput = "token_ids" | "sampled_rows" | "sampled_adapters" | "row_numbers";

export class StepInputs {
  readonly #device: Device;
  readonly #buffer: DeviceBuffer;
  readonly #slices: ReadonlyMap<string, BufferSlice>;
  readonly #limits: StepLimits;
  readonly #groups: readonly LayerGroup[];
  /** Where all rows lie as they come. */
  readonly home: InputRegion;
  readonly #packs: readonly InputRegion[];
  /** Of the step, in its order. */
  #rows: readonly RegionRow[] = [];

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
    const region = (prefix: string) =>
      new InputRegion(limits, groups, {
        slice: (name) => slices.get(`${prefix}${name}`)!,
        write: (name, values) => this.#write(`${prefix}${name}`, values),
      });
    this.home = region("");
    this.#packs = Array.from({ length: MAX_PACKS }, (_, pack) => region(`pack.${pack}.`));
  }

  static async create(
    device: Device,
    limits: StepLimits,
    groups: readonly LayerGroup[],
  ): Promise<StepInputs> {
    const { maxTokens, maxRows, maxLogitRows, maxBlocks } = limits;
    const region = regionWords(limits, groups);
    const words: [string, number][] = [
      ["token_ids", maxTokens],
      ["sampled_rows", maxLogitRows],
      ["sampled_adapters", maxLogitRows],
      ["row_numbers", maxTokens],
      ...region,
    ];
    for (const [index, { taps }] of groups.entries()) {
      if (taps === undefined) words.push([`block_table.${index}`, maxRows * maxBlocks]);
    }
    for (let pack = 0; pack < MAX_PACKS; pack++) {
      words.push([`pack.${pack}.rows`, maxTokens]);
      for (const [name, count] of region) words.push([`pack.${pack}.${name}`, count]);
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
    const inputs = new StepInputs(device, buffer, slices, limits, groups);
    inputs.#write(
      "row_numbers",
      Uint32Array.from({ length: maxTokens }, (_, row) => row),
    );
    return inputs;
  }

  slice(name: SharedInput): BufferSlice {
    return this.#slices.get(name)!;
  }

  /** Undefined where a group has none. */
  blockTable(group: number): BufferSlice {
    return this.#slices.get(`block_table.${group}`)!;
  }

  /** Rows of the step that a pack takes, one after another. */
  packedRows(pack: number): BufferSlice {
    return this.#slices.get(`pack.${pack}.rows`)!;
  }

  /** What stands for the inputs of the home region. */
  packedSlices(pack: number): Iterable<[BufferSlice, BufferSlice]> {
    return this.home.slicesIn(this.#packs[pack]);
  }

  /**
   * Writes the inputs of one step; takes effect before the next submission.
   * @param order Indices of the rows, in the order in which they lie in the step.
   * @param logitRows Which tokens of the rows get logits, counted as the rows were given; by default
   *   the last of each sampled row, and all of one that verifies.
   */
  write(
    rows: readonly StepRow[],
    order: readonly number[],
    logitRows?: readonly number[],
  ): StepSizes {
    const tokenIds: number[] = [];
    const placeOf = new Array<number>(rows.length);
    const { maxBlocks } = this.#limits;
    for (const index of order) {
      const { from, to } = rows[index].planned.tokens;
      placeOf[index] = tokenIds.length;
      for (let token = from; token < to; token++) tokenIds.push(entryOf(rows[index], token));
    }
    this.#rows = order.map((index, sequence) => {
      const { planned, adapter = 0 } = rows[index];
      return { planned, sequence, adapter };
    });
    const tokenRows = rows.map(({ planned: { tokens, sample, kind } }, index) => {
      const all = Array.from({ length: tokens.to - tokens.from }, (_, i) => placeOf[index] + i);
      return { all, sampled: !sample ? [] : kind === "verify" ? all : all.slice(-1) };
    });
    const given = logitRows && tokenRows.flatMap(({ all }) => all);
    const sampled = given
      ? logitRows.map((row) => given[row])
      : tokenRows.flatMap((row) => row.sampled);
    this.#write("token_ids", tokenIds);
    this.#write("sampled_rows", sampled);
    if (this.#limits.hasAdapters) {
      const adapters = this.#rows.flatMap(({ planned: { tokens }, adapter }) =>
        new Array<number>(tokens.to - tokens.from).fill(adapter),
      );
      this.#write(
        "sampled_adapters",
        sampled.map((row) => adapters[row]),
      );
    }
    for (const [group, { taps }] of this.#groups.entries()) {
      if (taps !== undefined) continue;
      const tables = new Uint32Array(rows.length * maxBlocks);
      for (const { planned, sequence } of this.#rows) {
        tables.set(planned.blockTables[group], sequence * maxBlocks);
      }
      this.#write(`block_table.${group}`, tables);
    }
    const attention = this.home.write(this.#rows);
    return { T: tokenIds.length, R: sampled.length, attention };
  }

  /** Sizes of the step's first `count` rows. */
  sizesOfFirst(count: number, R: number): StepSizes {
    return this.home.sizes(this.#rows.slice(0, count), R);
  }

  /** Of a row of the step, by its place in the order: the first of its tokens. */
  firstRow(place: number): number {
    return countTokens(this.#rows.slice(0, place));
  }

  /** Writes the inputs of some rows of the step as if there were no others. */
  pack(pack: number, places: readonly number[], R: number): StepSizes {
    const rows = places.map((place) => this.#rows[place]);
    const numbers = places.flatMap((place) => {
      const { tokens } = this.#rows[place].planned;
      const first = this.firstRow(place);
      return Array.from({ length: tokens.to - tokens.from }, (_, i) => first + i);
    });
    this.#write(`pack.${pack}.rows`, numbers);
    const attention = this.#packs[pack].write(rows);
    return { T: numbers.length, R, attention };
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

/** An id that the host knows, or where the device finds it. */
function entryOf({ ids, slot, drafts }: StepRow, token: number): number {
  if (drafts && token >= drafts.from) {
    const index = token - drafts.from;
    return drafts.ids?.[index] ?? FROM_SLOT + drafts.slot + index;
  }
  return token < ids.length ? ids[token] : FROM_SLOT + slot;
}
