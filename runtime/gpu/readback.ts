/** A pool of mappable staging buffers. A copy is recorded now and mapped once it is submitted. */

/** Room behind each copy for what may come with it. */
const RIDER_BYTES = 16;

interface Pending {
  readonly staging: GPUBuffer;
  readonly sizeBytes: number;
  onRider?(bytes: ArrayBuffer): void;
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

  /** Copies that were recorded and not mapped. */
  get numPending(): number {
    return this.#pending.length;
  }

  copy(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    offsetBytes: number,
    sizeBytes: number,
  ): Promise<Uint8Array> {
    const staging = this.#take(sizeBytes + RIDER_BYTES);
    encoder.copyBufferToBuffer(source, offsetBytes, staging, 0, sizeBytes);
    return new Promise((resolve, reject) => {
      this.#pending.push({ staging, sizeBytes, resolve, reject });
    });
  }

  /**
   * The first 16 bytes of `source` come along with the latest pending copy, in its mapping and just
   * before it resolves. They are dropped when it fails.
   */
  addRider(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    onRider: (bytes: ArrayBuffer) => void,
  ): void {
    const host = this.#pending.at(-1);
    if (!host) throw new Error("no copy is pending that could take more along");
    encoder.copyBufferToBuffer(source, 0, host.staging, host.sizeBytes, RIDER_BYTES);
    host.onRider = onRider;
  }

  /** Call right after the copies were submitted. */
  map(): void {
    for (const { staging, sizeBytes, onRider, resolve, reject } of this.#pending) {
      const mappedBytes = sizeBytes + RIDER_BYTES;
      staging.mapAsync(GPUMapMode.READ, 0, mappedBytes).then(() => {
        const mapped = staging.getMappedRange(0, mappedBytes);
        onRider?.(mapped.slice(sizeBytes));
        const bytes = new Uint8Array(mapped.slice(0, sizeBytes));
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
