/**
 * The Device contract: buffers, kernel calls and readback. `runtime/gpu` implements it over WebGPU
 * and `runtime/reference` over the kernels' plain loops; one contract test holds both to it.
 */
import type { BufferSlice, Kernel, KernelCall } from "../kernels/kernel.ts";

export interface DeviceBuffer {
  readonly id: number;
  readonly label: string;
  readonly sizeBytes: number;
}

/** T0: no optional feature. T1: shader-f16. T2: shader-f16 and subgroups (kernels.md §4). */
export type Tier = "T0" | "T1" | "T2" | "reference";

export interface DeviceInfo {
  readonly kind: "gpu" | "reference";
  /** Human name, e.g. `llvmpipe (LLVM 15.0.6, 256 bits)`. */
  readonly adapter: string;
  /** Adapter, driver and WebGPU implementation, as far as they tell: what a measurement holds for. */
  readonly identity: string;
  readonly tier: Tier;
  readonly features: readonly string[];
  /** Of WGSL, by this WebGPU implementation. */
  readonly languageFeatures?: readonly string[];
  readonly limits: DeviceLimits;
  /** Lanes of every subgroup; undefined without subgroups, or where the driver varies the size. */
  readonly subgroupSize?: number;
  /** The processor plays GPU (llvmpipe, SwiftShader): other kernels are fast there. */
  readonly software?: boolean;
}

export interface DeviceLimits {
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly offsetAlignmentBytes: number;
  readonly maxStorageBuffers: number;
}

export interface DeviceLoss {
  readonly reason: "destroyed" | "unknown";
  readonly message: string;
}

/** What the device was asked to do since it was made. Exact on any adapter. */
export interface DeviceCounters {
  dispatches: number;
  submissions: number;
  pipelines: number;
  bindGroups: number;
  writtenBytes: number;
  readBytes: number;
}

/** A pipeline's identity: the kernel and its `override` values. */
export interface PipelineSpec {
  readonly kernel: Kernel;
  readonly constants: Readonly<Record<string, number>>;
}

/** What becomes known of a submission. Holds nothing to wait for: readbacks tell when it has run. */
export interface Submission {
  /**
   * GPU milliseconds from the start of its first dispatch to the end of its last. Known once all
   * readbacks of the submission have come; undefined until then, and for good where the device cannot
   * tell: no `timestamp-query`, times that make no sense, no dispatch or no readback, a lost device.
   */
  readonly gpuMs: number | undefined;
}

export interface Device {
  readonly info: DeviceInfo;
  readonly counters: DeviceCounters;
  /** Resolves once; every later call on the device throws `device_lost`. */
  readonly lost: Promise<DeviceLoss>;

  /** Zeroed. @throws {WeftError} `out_of_memory`, `limit_exceeded`. */
  createBuffer(label: string, sizeBytes: number): Promise<DeviceBuffer>;
  destroyBuffer(buffer: DeviceBuffer): void;
  /** Takes effect before anything submitted later; offset and length in multiples of 4. */
  write(buffer: DeviceBuffer, offsetBytes: number, data: ArrayBufferView): void;
  /** Compile ahead of use, a few at a time. @throws {WeftError} `kernel_rejected`. */
  prepare(pipelines: readonly PipelineSpec[], onReady?: () => void): Promise<void>;
  /** Append dispatches in order to the current submission. */
  record(calls: Iterable<KernelCall>): void;
  /**
   * Append copies to the current submission; resolves after it has run, with the bytes of the slices
   * one after another: many cost one mapping.
   */
  readback(...slices: BufferSlice[]): Promise<Uint8Array>;
  /** Hand the current submission to the queue. Never waits. */
  submit(): Submission;
  /** Resolves when all that was submitted so far has run. */
  idle(): Promise<void>;
  destroy(): void;
}

export const wholeBuffer = (buffer: DeviceBuffer): BufferSlice => ({
  buffer,
  offsetBytes: 0,
  sizeBytes: buffer.sizeBytes,
});

/** Pads to the queue's write granularity. */
export const alignUp = (value: number, alignment: number): number =>
  Math.ceil(value / alignment) * alignment;

export const bytesToFloats = (bytes: Uint8Array): Float32Array =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
