/** A pool of mappable staging buffers. A copy is recorded now and mapped once it is submitted. */

/** Room behind each copy for what may come with it. */
const RIDER_BYTES = 16;
/** What a step reads fits; buffers for more are made when they are asked for, and go with it. */
const USUAL_BYTES = 4096;
/** Made at once: as many as an engine has under way, so that it never makes one later. */
const NUM_READY = 16;

export interface ReadbackSource {
  readonly source: GPUBuffer;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

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
    for (let i = 0; i < NUM_READY; i++) this.#free.push(this.#create(USUAL_BYTES));
  }

  /** Copies that were recorded and not mapped. */
  get numPending(): number {
    return this.#pending.length;
  }

  /** One after another, in one mapping. */
  copy(encoder: GPUCommandEncoder, sources: readonly ReadbackSource[]): Promise<Uint8Array> {
    const total = sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const staging = this.#take(total + RIDER_BYTES);
    let sizeBytes = 0;
    for (const { source, offsetBytes, sizeBytes: length } of sources) {
      encoder.copyBufferToBuffer(source, offsetBytes, staging, sizeBytes, length);
      sizeBytes += length;
    }
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
        if (staging.size === USUAL_BYTES) this.#free.push(staging);
        else staging.destroy();
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
    const kept = sizeBytes <= USUAL_BYTES ? this.#free.pop() : undefined;
    return kept ?? this.#create(Math.max(USUAL_BYTES, sizeBytes));
  }

  #create(size: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ label: "readback", size, usage });
  }
}
