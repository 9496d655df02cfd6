/**
 * Calls that run as the GPU decides: their grids of workgroups, which a kernel turns into counts, the same or
 * zeros. Owns where both lie; which kernel decides, and by what, is its caller's business.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { alignUp, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";

const GRID_BYTES = 16;
const COUNT_BYTES = 12;

/** Calls of which one kernel decides. */
export interface GatedGroup {
  readonly size: number;
  /** [size,4] u32: x, y, z and what the call takes to run. */
  readonly grids: BufferSlice;
  /** [size,3] u32, to be written before the calls. */
  readonly counts: BufferSlice;
  /** One of the calls, by its count. */
  gated(call: KernelCall): KernelCall;
}

export class GatedCalls {
  readonly #device: Device;
  readonly #grids: BufferSlice;
  readonly #counts: BufferSlice;
  #gridsAt = 0;
  #countsAt = 0;

  private constructor(device: Device, grids: BufferSlice, counts: BufferSlice) {
    this.#device = device;
    this.#grids = grids;
    this.#counts = counts;
  }

  /** @param most Calls and groups of a step. */
  static async create(
    device: Device,
    name: string,
    most: { readonly calls: number; readonly groups: number },
  ): Promise<GatedCalls> {
    // Each group begins where a binding may.
    const padding = most.groups * device.info.limits.offsetAlignmentBytes;
    const allocate = async (kind: string, bytes: number) =>
      wholeBuffer(await device.createBuffer(`${name}_${kind}`, alignUp(bytes, 16)));
    const grids = await allocate("grids", GRID_BYTES * most.calls + padding);
    const counts = await allocate("counts", COUNT_BYTES * most.calls + padding);
    return new GatedCalls(device, grids, counts);
  }

  /** Another step is recorded. */
  begin(): void {
    [this.#gridsAt, this.#countsAt] = [0, 0];
  }

  /** @param takes Of a call, by its index: what it takes to run; 0 by default. */
  add(calls: readonly KernelCall[], takes = (_index: number) => 0): GatedGroup {
    const { offsetAlignmentBytes } = this.#device.info.limits;
    const { length: size } = calls;
    const entries = new Uint32Array(4 * size);
    const places = new Map<KernelCall, number>();
    calls.forEach((call, i) => {
      entries.set([...call.kernel.workgroups(call.dims), takes(i)], 4 * i);
      places.set(call, i);
    });
    const grids = slice(this.#grids, this.#gridsAt, GRID_BYTES * size);
    const counts = slice(this.#counts, this.#countsAt, COUNT_BYTES * size);
    this.#gridsAt = alignUp(this.#gridsAt + grids.sizeBytes, offsetAlignmentBytes);
    this.#countsAt = alignUp(this.#countsAt + counts.sizeBytes, offsetAlignmentBytes);
    this.#device.write(grids.buffer as DeviceBuffer, grids.offsetBytes, entries);
    const gated = (call: KernelCall): KernelCall => {
      return { ...call, grid: slice(counts, COUNT_BYTES * places.get(call)!, COUNT_BYTES) };
    };
    return { size, grids, counts, gated };
  }
}

const slice = (
  { buffer, offsetBytes }: BufferSlice,
  at: number,
  sizeBytes: number,
): BufferSlice => ({ buffer, offsetBytes: offsetBytes + at, sizeBytes });
