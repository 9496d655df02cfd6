/**
 * Memory for the calls of one measurement. What a kernel only reads and what is large (weights, the
 * cache) lies there in several copies, taken in turn: else a GPU's cache would answer for its memory.
 * Outputs are shared, so each call waits for the one before it, as in a model.
 */

import { type Device, type DeviceBuffer, WeftError } from "../../index.ts";
import {
  type BufferSlice,
  bindingBytes,
  type Dims,
  type Kernel,
  type KernelCall,
} from "../../kernels/index.ts";
import { fill, type Inputs, patternKind } from "./contents.ts";

/** Smaller operands stay in caches in a model too. */
const ROTATED_BYTES = 256 * 1024;
const MAX_COPIES = 64;

/** Memory that holds a pattern, shared by all measurements: filling it anew would take longer. */
export class Arena {
  readonly #device: Device;
  readonly #sizeBytes: number;
  #buffer: DeviceBuffer | undefined;
  #kind = "";

  /** @param sizeBytes As much as the caches must not hold. */
  constructor(device: Device, sizeBytes: number) {
    this.#device = device;
    const { maxBufferBytes, offsetAlignmentBytes: step } = device.info.limits;
    this.#sizeBytes = Math.floor(Math.min(sizeBytes, maxBufferBytes) / step) * step;
  }

  /** As many slices as there is room for, at least one. @throws {WeftError} `out_of_memory`. */
  async slices(kind: string, sizeBytes: number): Promise<BufferSlice[]> {
    const step = Math.max(256, this.#device.info.limits.offsetAlignmentBytes);
    const stride = Math.ceil(sizeBytes / step) * step;
    await this.#require(kind, stride);
    const buffer = this.#buffer!;
    const copies = Math.max(1, Math.min(MAX_COPIES, Math.floor(buffer.sizeBytes / stride)));
    return Array.from({ length: copies }, (_, i) => ({
      buffer,
      offsetBytes: i * stride,
      sizeBytes,
    }));
  }

  destroy(): void {
    if (this.#buffer) this.#device.destroyBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  async #require(kind: string, leastBytes: number): Promise<void> {
    if (this.#buffer && this.#kind === kind && this.#buffer.sizeBytes >= leastBytes) return;
    this.destroy();
    this.#buffer = await this.#largest(kind, leastBytes);
    this.#kind = kind;
    fill(this.#device, this.#buffer, kind);
  }

  /** What is wanted, or half of it, and so on: a small GPU has no room for more. */
  async #largest(kind: string, leastBytes: number): Promise<DeviceBuffer> {
    let sizeBytes = Math.max(leastBytes, this.#sizeBytes);
    for (;;) {
      try {
        return await this.#device.createBuffer(`lab_${kind}`, sizeBytes);
      } catch (error) {
        const isFull = error instanceof WeftError && error.code === "out_of_memory";
        if (!isFull || sizeBytes === leastBytes) throw error;
        sizeBytes = Math.max(leastBytes, Math.floor(sizeBytes / 512) * 256);
      }
    }
  }
}

export interface Operands {
  /** One per copy of the rotated operands. */
  readonly calls: readonly KernelCall[];
  destroy(): void;
}

/** @throws {WeftError} `limit_exceeded` for a binding that the device cannot bind, `out_of_memory`. */
export async function operandsOf(
  device: Device,
  arena: Arena,
  { kernel, dims, inputs }: { kernel: Kernel; dims: Dims; inputs: Inputs },
): Promise<Operands> {
  const owned: DeviceBuffer[] = [];
  const destroy = () => {
    for (const buffer of owned.splice(0)) device.destroyBuffer(buffer);
  };
  const fixed: Record<string, BufferSlice> = {};
  let rotated: { name: string; slices: readonly BufferSlice[] } | undefined;
  try {
    for (const { name, binding, sizeBytes } of sized(device, kernel, dims)) {
      const given = inputs[name];
      const isLarge = binding.access === "read" && sizeBytes >= ROTATED_BYTES && !given;
      // The largest; a kernel with two large operands misses the cache on one of them at least.
      if (isLarge && !rotated) {
        rotated = { name, slices: await arena.slices(patternKind(binding), sizeBytes) };
        continue;
      }
      const buffer = await device.createBuffer(name, sizeBytes);
      owned.push(buffer);
      if (given) device.write(buffer, 0, given);
      else if (binding.access !== "write") fill(device, buffer, patternKind(binding));
      fixed[name] = { buffer, offsetBytes: 0, sizeBytes: buffer.sizeBytes };
    }
  } catch (error) {
    destroy();
    throw error;
  }
  const copies = rotated?.slices ?? [undefined];
  const calls = copies.map((slice) => ({
    kernel,
    dims,
    buffers: slice ? { ...fixed, [rotated!.name]: slice } : fixed,
  }));
  return { calls, destroy };
}

/** Bindings, the largest first. */
function sized({ info }: Device, kernel: Kernel, dims: Dims) {
  const { maxBindingBytes } = info.limits;
  const bindings = Object.entries(kernel.bindings).map(([name, binding]) => {
    const sizeBytes = Math.max(16, Math.ceil(bindingBytes(binding, dims) / 16) * 16);
    return { name, binding, sizeBytes };
  });
  const tooLarge = bindings.find(({ sizeBytes }) => sizeBytes > maxBindingBytes);
  if (tooLarge) {
    throw new WeftError(
      "limit_exceeded",
      `${tooLarge.name} takes ${tooLarge.sizeBytes} bytes, this adapter binds at most ` +
        `${maxBindingBytes}; a model's matrix would be split by rows`,
    );
  }
  return bindings.sort((a, b) => b.sizeBytes - a.sizeBytes);
}
