/**
 * Runs stages for some rows of a step as if there were no others: their activations are packed together,
 * and scattered back. A row's bits depend on that row alone, so nothing else changes.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { rowCopy } from "../kernels/row-copy.ts";
import type { StepInputs } from "./step-inputs.ts";

export interface PackedRows {
  /** [T,width]: all rows, and those that are packed. */
  readonly hidden: BufferSlice;
  readonly packed: BufferSlice;
  readonly width: number;
  readonly maxTokens: number;
}

export class RowPacks {
  readonly #inputs: StepInputs;
  readonly #rows: PackedRows;
  /** By pack: what a call binds in place of the buffers of all rows. */
  readonly #substitutes: (ReadonlyMap<BufferSlice, BufferSlice> | undefined)[] = [];
  /** By pack, the buffers of calls that were placed; a device keeps what it made of such an object. */
  readonly #placed: WeakMap<KernelCall["buffers"], KernelCall["buffers"]>[] = [];

  constructor(inputs: StepInputs, rows: PackedRows) {
    this.#inputs = inputs;
    this.#rows = rows;
  }

  get pipelines() {
    return [{ kernel: rowCopy, constants: {} }];
  }

  /** Call that packs `numTokens` rows. */
  gather(pack: number, numTokens: number): KernelCall {
    const { hidden, packed } = this.#rows;
    return this.#copy("pack", numTokens, {
      ...{ x: hidden, from_rows: this.#inputs.packedRows(pack) },
      ...{ to_rows: this.#inputs.slice("row_numbers"), out: packed },
    });
  }

  /** Call that brings them back. */
  scatter(pack: number, numTokens: number): KernelCall {
    const { hidden, packed } = this.#rows;
    return this.#copy("unpack", numTokens, {
      ...{ x: packed, from_rows: this.#inputs.slice("row_numbers") },
      ...{ to_rows: this.#inputs.packedRows(pack), out: hidden },
    });
  }

  /** The call on packed rows. */
  place(pack: number, call: KernelCall): KernelCall {
    this.#placed[pack] ??= new WeakMap();
    const known = this.#placed[pack].get(call.buffers);
    const buffers = known ?? this.#substituted(pack, call.buffers);
    if (!known) this.#placed[pack].set(call.buffers, buffers);
    return { ...call, buffers };
  }

  #substituted(pack: number, buffers: KernelCall["buffers"]): KernelCall["buffers"] {
    const { hidden, packed } = this.#rows;
    // Of those that are packed, all get logits.
    const numbered = [
      this.#inputs.slice("sampled_rows"),
      this.#inputs.slice("row_numbers"),
    ] as const;
    this.#substitutes[pack] ??= new Map([
      ...([[hidden, packed], numbered] as const),
      ...this.#inputs.packedSlices(pack),
    ]);
    const substitutes = this.#substitutes[pack];
    const entries = Object.entries(buffers).map(([name, slice]) => [
      name,
      substitutes.get(slice) ?? slice,
    ]);
    return Object.fromEntries(entries);
  }

  #copy(label: string, R: number, buffers: KernelCall["buffers"]): KernelCall {
    const { width: D, maxTokens } = this.#rows;
    return { kernel: rowCopy, buffers, dims: { T: maxTokens, P: maxTokens, R, D }, label };
  }
}
