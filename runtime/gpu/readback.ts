/** A pool of mappable staging buffers. A copy is recorded now and mapped once it is submitted. */

interface Pending {
  readonly staging: GPUBuffer;
  readonly sizeBytes: number;
  resolve(bytes: Uint8Array): void;
  reject(cause: unknown): void;
}

export class ReadbackPool {
  readonly #device: GPUDevice;
  readonly #free: GPUBuffer[] = [];
  #pending: Pending[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  copy(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    offsetBytes: number,
    sizeBytes: number,
  ): Promise<Uint8Array> {
    const staging = this.#take(sizeBytes);
    encoder.copyBufferToBuffer(source, offsetBytes, staging, 0, sizeBytes);
    return new Promise((resolve, reject) => {
      this.#pending.push({ staging, sizeBytes, resolve, reject });
    });
  }

  /** Call right after the copies were submitted. */
  map(): void {
    for (const { staging, sizeBytes, resolve, reject } of this.#pending) {
      staging.mapAsync(GPUMapMode.READ, 0, sizeBytes).then(() => {
        const bytes = new Uint8Array(staging.getMappedRange(0, sizeBytes)).slice();
        staging.unmap();
        this.#free.push(staging);
        resolve(bytes);
      }, reject);
    }
    this.#pending = [];
  }

  destroy(): void {
    for (const buffer of this.#free) buffer.destroy();
    for (const { reject } of this.#pending) reject(new Error("the device was destroyed"));
  }

  #take(sizeBytes: number): GPUBuffer {
    const fit = this.#free.findIndex((buffer) => buffer.size >= sizeBytes);
    if (fit >= 0) return this.#free.splice(fit, 1)[0]!;
    return this.#device.createBuffer({
      label: "readback",
      size: Math.max(4096, sizeBytes),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }
}
