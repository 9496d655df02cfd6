// Slices of device memory for tests that chain kernels: every slice lies between canaries.

import type { BufferSlice, Dims, Kernel } from "../../kernels/kernel.ts";
import { alignUp, type Device, type DeviceBuffer } from "../../runtime/device.ts";

const GUARD_BYTES = 256;
const CANARY = 0xdeadbeef;

export class KernelMemory {
  readonly #device: Device;
  readonly #buffers: DeviceBuffer[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /** A slice that holds these bytes. */
  async put(label: string, data: ArrayBufferView): Promise<BufferSlice> {
    const sizeBytes = Math.max(16, alignUp(data.byteLength, 16));
    const image = new Uint32Array((sizeBytes + 2 * GUARD_BYTES) / 4).fill(CANARY);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(image.buffer).set(bytes, GUARD_BYTES);
    const buffer = await this.#device.createBuffer(label, image.byteLength);
    this.#device.write(buffer, 0, image);
    this.#buffers.push(buffer);
    return { buffer, offsetBytes: GUARD_BYTES, sizeBytes };
  }

  /** A slice filled with words that are NaN as f32 and as f16. */
  poison(label: string, sizeBytes: number): Promise<BufferSlice> {
    return this.put(label, new Uint32Array(sizeBytes / 4).fill(0x7fff7fff));
  }

  async run(kernel: Kernel, buffers: Record<string, BufferSlice>, dims: Dims): Promise<void> {
    await this.#device.prepare([{ kernel, constants: dims }]);
    this.#device.record([{ kernel, buffers, dims }]);
  }

  /** @throws {Error} When a kernel wrote outside the slice. */
  async read({ buffer, sizeBytes }: BufferSlice): Promise<Uint32Array> {
    const whole = { buffer, offsetBytes: 0, sizeBytes: buffer.sizeBytes };
    const image = this.#device.readback(whole);
    this.#device.submit();
    const words = new Uint32Array((await image).slice().buffer);
    const end = (GUARD_BYTES + sizeBytes) / 4;
    const guards = [...words.subarray(0, GUARD_BYTES / 4), ...words.subarray(end)];
    if (guards.some((word) => word !== CANARY)) throw new Error("a kernel wrote outside its slice");
    return words.slice(GUARD_BYTES / 4, end);
  }

  free(): void {
    for (const buffer of this.#buffers.splice(0)) this.#device.destroyBuffer(buffer);
  }
}

/** Index of the first word that differs, -1 when none does. (toEqual takes seconds on large arrays.) */
export function firstDifference(a: Uint32Array, b: Uint32Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  return a.findIndex((word, i) => word !== b[i]);
}
