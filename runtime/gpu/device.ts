/**
 * The Device over WebGPU, as browsers and Dawn give it. Owns every GPU object; the only folder that
 * names them. Allocation errors and driver rejections surface as typed errors, never as gibberish.
 */
import type { BufferSlice, KernelCall } from "../../kernels/kernel.ts";
import type {
  Device,
  DeviceBuffer,
  DeviceCounters,
  DeviceInfo,
  DeviceLoss,
  PipelineSpec,
  Submission,
} from "../device.ts";
import { WeftError } from "../errors.ts";
import { type AdapterOptions, type OpenedAdapter, openAdapter } from "./adapter.ts";
import { PipelineCache } from "./pipelines.ts";
import { ReadbackPool } from "./readback.ts";
import { Recorder } from "./recorder.ts";
import { elapsedMs, SubmissionTimer } from "./submission-timer.ts";

/** Where the platform's WebGPU comes from. */
export type GpuSource = () => Promise<GPU | undefined>;

export interface GpuDeviceOptions extends AdapterOptions {
  /** Test builds only: count the bytes that each binding moves. */
  readonly countBytes?: boolean;
}

/** @throws {WeftError} `no_adapter`. */
export async function openGpuDevice(
  gpu: GPU | undefined,
  options: GpuDeviceOptions = {},
): Promise<GpuDevice> {
  return new GpuDevice(await openAdapter(gpu, options), options);
}

export class GpuDevice implements Device {
  readonly info: DeviceInfo;
  readonly lost: Promise<DeviceLoss>;
  readonly counters: DeviceCounters = {
    dispatches: 0,
    submissions: 0,
    pipelines: 0,
    bindGroups: 0,
    writtenBytes: 0,
    readBytes: 0,
  };
  /** Byte counters by binding index, only in test builds. */
  readonly byteCounts: DeviceBuffer | undefined;
  readonly #device: GPUDevice;
  readonly #buffers = new Map<number, GPUBuffer>();
  readonly #pipelines: PipelineCache;
  readonly #readbacks: ReadbackPool;
  readonly #timer: SubmissionTimer | undefined;
  readonly #recorder: Recorder;
  readonly #onError = ({ error }: GPUUncapturedErrorEvent): void => {
    this.#failure ??= reportedError(error);
  };
  #nextId = 1;
  #failure: WeftError | undefined;

  constructor(opened: OpenedAdapter, options: GpuDeviceOptions) {
    const { device, name, identity, tier, languageFeatures, limits, subgroupSize, software } =
      opened;
    this.#device = device;
    const features = [...device.features].sort();
    const adapter = { adapter: name, identity, tier, features, languageFeatures, limits };
    this.info = { kind: "gpu", ...adapter, subgroupSize, software };
    this.lost = device.lost.then(({ reason, message }) => {
      const loss = { reason: reason === "destroyed" ? reason : ("unknown" as const), message };
      this.#failure = lostError(loss);
      return loss;
    });
    device.addEventListener("uncapturederror", this.#onError);
    this.#pipelines = new PipelineCache(device, options);
    this.#readbacks = new ReadbackPool(device);
    this.#timer = SubmissionTimer.create(device);
    if (options.countBytes) this.byteCounts = this.#allocate("byte_counts", 64);
    this.#recorder = new Recorder(device, this.#pipelines, {
      counters: this.counters,
      timer: this.#timer,
      gpuBuffer: (id) => this.#gpuBuffer(id),
      byteCounts: this.byteCounts && this.#gpuBuffer(this.byteCounts.id),
    });
  }

  async createBuffer(label: string, sizeBytes: number): Promise<DeviceBuffer> {
    const { maxBufferBytes } = this.info.limits;
    if (sizeBytes > maxBufferBytes) {
      throw new WeftError(
        "limit_exceeded",
        `buffer ${label} needs ${sizeBytes} bytes, this adapter allows ${maxBufferBytes}; ` +
          "choose a smaller model or memoryBudgetBytes",
      );
    }
    this.#check();
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#allocate(label, sizeBytes);
    const [outOfMemory, invalid] = await Promise.all([
      this.#device.popErrorScope(),
      this.#device.popErrorScope(),
    ]);
    const error = outOfMemory ?? invalid;
    if (error) {
      this.#buffers.delete(buffer.id);
      throw new WeftError(
        "out_of_memory",
        `the GPU refused buffer ${label} of ${sizeBytes} bytes: ${error.message}; ` +
          "lower memoryBudgetBytes or close other users of the GPU",
      );
    }
    return buffer;
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    this.#buffers.get(buffer.id)?.destroy();
    this.#buffers.delete(buffer.id);
  }

  write(buffer: DeviceBuffer, offsetBytes: number, data: ArrayBufferView): void {
    this.#check();
    const { buffer: bytes, byteOffset, byteLength } = data;
    this.#device.queue.writeBuffer(
      this.#gpuBuffer(buffer.id),
      offsetBytes,
      bytes as ArrayBuffer,
      byteOffset,
      byteLength,
    );
    this.counters.writtenBytes += byteLength;
  }

  async prepare(specs: readonly PipelineSpec[], onReady?: () => void): Promise<void> {
    this.#check();
    this.counters.pipelines += await this.#pipelines.prepare(specs, onReady);
  }

  record(calls: Iterable<KernelCall>): void {
    this.#check();
    this.#recorder.record(calls);
  }

  async readback(...slices: BufferSlice[]): Promise<Uint8Array> {
    this.#check();
    const sources = slices.map(({ buffer, offsetBytes, sizeBytes }) => {
      this.counters.readBytes += sizeBytes;
      return { source: this.#gpuBuffer(buffer.id), offsetBytes, sizeBytes };
    });
    const bytes = this.#readbacks.copy(this.#recorder.encoder(), sources);
    const value = await bytes.catch((cause) => {
      // A browser rejects the mapping before it says that the device is lost.
      throw this.#failure ?? lostError({ reason: "unknown", message: `readback: ${cause}` });
    });
    this.#check();
    return value;
  }

  submit(): Submission {
    this.#check();
    const submission = this.#timed();
    this.#recorder.submit();
    this.#readbacks.map();
    return submission;
  }

  async idle(): Promise<void> {
    this.#check();
    await this.#device.queue.onSubmittedWorkDone();
    this.#check();
  }

  destroy(): void {
    // `lost` resolves later; no call may pass in between.
    this.#failure = lostError({ reason: "destroyed", message: "destroy() was called" });
    this.#readbacks.destroy();
    this.#timer?.destroy();
    this.#recorder.destroy();
    this.#buffers.clear();
    // Dawn holds its listeners for good, and they would hold all of this.
    this.#device.removeEventListener("uncapturederror", this.#onError);
    this.#device.destroy();
  }

  /** The current submission; its times come with its last readback, and cost no mapping of their own. */
  #timed(): Submission {
    const submission: { gpuMs: number | undefined } = { gpuMs: undefined };
    if (this.#timer?.stop() && this.#readbacks.numPending > 0) {
      const encoder = this.#recorder.encoder();
      this.#readbacks.addRider(encoder, this.#timer.resolve(encoder), (times) => {
        submission.gpuMs = elapsedMs(times);
      });
    }
    return submission;
  }

  #allocate(label: string, sizeBytes: number): DeviceBuffer {
    const size = Math.max(16, Math.ceil(sizeBytes / 4) * 4);
    const { STORAGE, COPY_DST, COPY_SRC, INDIRECT } = GPUBufferUsage;
    const usage = STORAGE | COPY_DST | COPY_SRC | INDIRECT;
    const buffer = this.#device.createBuffer({ label, size, usage });
    const id = this.#nextId++;
    this.#buffers.set(id, buffer);
    return { id, label, sizeBytes: size };
  }

  #gpuBuffer(id: number): GPUBuffer {
    const buffer = this.#buffers.get(id);
    if (!buffer) throw new Error(`buffer ${id} was destroyed or belongs to another device`);
    return buffer;
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }
}

function lostError({ reason, message }: DeviceLoss): WeftError {
  return new WeftError(
    "device_lost",
    `the GPU device was lost (${reason}): ${message || "no message"}; create the engine again`,
  );
}

/** What no call of ours waits for: memory that a driver needs of its own, or a fault. */
function reportedError(error: GPUError): WeftError {
  return error instanceof GPUOutOfMemoryError
    ? new WeftError(
        "out_of_memory",
        `the GPU ran out of memory: ${error.message}; lower memoryBudgetBytes or close other users of the GPU`,
      )
    : new WeftError(
        "device_error",
        `the GPU reported: ${error.message}; report it with the output of \`weft info\``,
      );
}
