/**
 * Activations of rows that have run some layers and wait for a later plan to run the others. Owns
 * their memory; which rows wait, and how many may, the scheduler decides.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { rowCopy } from "../kernels/row-copy.ts";
import type { SequenceId } from "../scheduler/work-plan.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";

export interface ParkedRowsOptions {
  /** The residual stream [T,width], all that a sublayer leaves for the next. */
  readonly hidden: BufferSlice;
  readonly width: number;
  /** Most rows that wait at once. */
  readonly maxRows: number;
}

export class ParkedRows {
  readonly #device: Device;
  readonly #options: ParkedRowsOptions;
  readonly #memory: BufferSlice;
  /** Of the sequence at hand, row by row: where it lies here, and in the step. */
  readonly #places: BufferSlice;
  readonly #stepRows: BufferSlice;
  readonly #free: number[];
  readonly #taken = new Map<SequenceId, Uint32Array>();

  private constructor(
    device: Device,
    options: ParkedRowsOptions,
    memory: BufferSlice,
    lists: readonly BufferSlice[],
  ) {
    this.#device = device;
    this.#options = options;
    this.#memory = memory;
    [this.#places, this.#stepRows] = lists;
    this.#free = Array.from({ length: options.maxRows }, (_, place) => place);
  }

  static async create(device: Device, options: ParkedRowsOptions): Promise<ParkedRows> {
    const { width, maxRows } = options;
    const allocate = async (name: string, sizeBytes: number) =>
      wholeBuffer(await device.createBuffer(name, sizeBytes));
    const memory = await allocate("parked_rows", 4 * width * maxRows);
    const lists = [
      await allocate("parked_places", 4 * maxRows),
      await allocate("parked_step_rows", 4 * maxRows),
    ];
    return new ParkedRows(device, options, memory, lists);
  }

  /** A sequence has `count` rows in the step, from `firstRow` on. Before `park` and `restore`. */
  begin(id: SequenceId, firstRow: number, count: number): void {
    const places = this.#taken.get(id) ?? this.#take(id, count);
    this.#write(this.#places, places);
    this.#write(
      this.#stepRows,
      places.map((_, row) => firstRow + row),
    );
  }

  /** Call that brings them back into the step. */
  restore(id: SequenceId): KernelCall {
    return this.#copy(id, "restore", {
      ...{ x: this.#memory, from_rows: this.#places },
      ...{ to_rows: this.#stepRows, out: this.#options.hidden },
    });
  }

  /** Call that takes them out of the step. */
  park(id: SequenceId): KernelCall {
    return this.#copy(id, "park", {
      ...{ x: this.#options.hidden, from_rows: this.#stepRows },
      ...{ to_rows: this.#places, out: this.#memory },
    });
  }

  /** Nobody waits for them any more. Plans in flight may still read them: later ones run later. */
  drop(id: SequenceId): void {
    const places = this.#taken.get(id);
    if (places === undefined) return;
    this.#free.push(...places);
    this.#taken.delete(id);
  }

  #take(id: SequenceId, count: number): Uint32Array {
    if (count > this.#free.length)
      throw new Error(`${count} rows are to be parked, room is for ${this.#free.length}`);
    const places = Uint32Array.from(this.#free.splice(this.#free.length - count, count));
    this.#taken.set(id, places);
    return places;
  }

  #copy(id: SequenceId, label: string, buffers: KernelCall["buffers"]): KernelCall {
    const { width: D, maxRows } = this.#options;
    const R = this.#taken.get(id)!.length;
    return { kernel: rowCopy, buffers, dims: { T: maxRows, P: maxRows, R, D }, label };
  }

  #write({ buffer, offsetBytes }: BufferSlice, words: Uint32Array): void {
    this.#device.write(buffer as DeviceBuffer, offsetBytes, words);
  }
}
