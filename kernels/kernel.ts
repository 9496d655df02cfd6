/**
 * What a kernel is: a plain value with its bindings, WGSL, grid, predicted cost and slow twin.
 * It never sees a GPUDevice; tests, benchmarks, the GPU and the reference device read this one value.
 */
import { KernelError } from "./errors.ts";

/** Sizes of one dispatch: uniforms (`params`), overrides (`constants`) and cost-only numbers (`work`). */
export type Dims = Record<string, number>;

export type Access = "read" | "write" | "read_write";

/** What one `load_x(i)` / `store_x(i, v)` moves. */
export type Element = "f32" | "u32" | "vec2<u32>" | "vec4<f32>" | "vec4<u32>" | "f16" | "vec4<f16>";

/** How numbers lie in memory. A binding with storage `f16` and element `u32` is packed by hand. */
export type Storage = "f32" | "f16" | "bf16" | "u32";

export interface Binding {
  readonly access: Access;
  readonly element: Element;
  readonly storage: Storage;
  /** Dim names and products, e.g. `"T,N*H"`; counts scalars of `storage`. */
  readonly shape: string;
  /** The reference gets a read-only 16-bit binding as raw bits: memory that other kernels write. */
  readonly raw?: boolean;
  /** Values of `shape` as u32 words. The reference gets them decoded to f32, unless `raw`. */
  readonly packing?: Packing;
}

/** How values lie in u32 words. `sizes` are those of the shape, in order: of a matrix, rows and columns. */
export interface Packing {
  readonly format: string;
  bytes(...sizes: number[]): number;
  unpack(words: Uint32Array, ...sizes: number[]): Float32Array;
  /** Words of values near the given ones, for known-answer inputs. */
  pack(values: Float32Array, ...sizes: number[]): Uint32Array;
  /** Where kernels write it: largest error of rounding to it, relative to the RMS of the values. */
  readonly rounding?: number;
}

export type View = Float32Array | Uint32Array | Uint16Array;

/**
 * What the reference sees. `f32` and `u32` bindings are live views. Read-only `f16` and `bf16`
 * bindings arrive decoded as Float32Array; writable and `raw` ones as live Uint16Array bits.
 */
// biome-ignore lint/suspicious/noExplicitAny: each reference knows the view types of its bindings.
export type Views = Record<string, any>;

export interface Cost {
  readonly flops: number;
  /** Bytes that the WGSL moves per binding, re-reads included; uniforms are not counted. */
  readonly bytes: Readonly<Record<string, number>>;
}

/** Known-answer input: sizes, and a filler for each binding that is read. */
export interface Probe {
  readonly dims: Dims;
  /** Values by binding name; floats for float storages (rounded to it by the runner). */
  inputs(random: () => number): Record<string, Float32Array | Uint32Array>;
}

export interface Kernel {
  /** Unique, e.g. `matmul.gemv[bf16].residual`; also the GPU label. */
  readonly name: string;
  /** Kernels of one operator that share this string agree bit for bit (docs/numerics.md). */
  readonly numerics: string;
  readonly bindings: Readonly<Record<string, Binding>>;
  /** Uniform struct, in order. At most 64 words. */
  readonly params: Readonly<Record<string, "u32" | "f32">>;
  /** `override` constants: part of the pipeline's identity. */
  readonly constants: readonly string[];
  readonly features: readonly ("shader-f16" | "subgroups")[];
  /** Body with `fn main`; storage is reached through generated `load_*` and `store_*` only. */
  readonly wgsl: string;
  workgroups(dims: Dims): readonly [number, number, number];
  cost(dims: Dims): Cost;
  /** Plain loops: float64 sums, rounded where values are stored. */
  reference(io: Views, dims: Dims): void;
  /** Largest |error| allowed against `reference`, relative to the output's RMS (f32 outputs). */
  readonly tolerance: number;
  readonly probes: readonly Probe[];
}

/** Memory that a call binds. `buffer` is opaque here; the device that made it knows it. */
export interface BufferSlice {
  readonly buffer: { readonly id: number; readonly sizeBytes: number };
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/**
 * One dispatch. Keep `buffers` the same object from step to step, and `dims` while it holds the same
 * numbers: bind groups and params are cached on them, so neither may be changed once it was given.
 */
export interface KernelCall {
  readonly kernel: Kernel;
  readonly buffers: Readonly<Record<string, BufferSlice>>;
  readonly dims: Dims;
  readonly label?: string;
  /** Three words that hold the workgroups when it runs: those of `dims`, or zeros, as the GPU has decided. */
  readonly grid?: BufferSlice;
}

type Partial2<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

/** Checks a kernel once, where it is written, instead of at each dispatch. */
export function defineKernel(
  kernel: Partial2<Kernel, "constants" | "features" | "params" | "probes" | "tolerance">,
): Kernel {
  const bindings = Object.values(kernel.bindings).length;
  if (bindings > 8) {
    throw new KernelError(
      "bad_kernel",
      `kernel ${kernel.name} has ${bindings} storage bindings, WebGPU guarantees 8; merge some`,
    );
  }
  return { constants: [], features: [], params: {}, probes: [], tolerance: 2e-6, ...kernel };
}

export const read = (shape: string, element: Element = "f32", storage?: Storage): Binding =>
  binding("read", shape, element, storage);
export const write = (shape: string, element: Element = "f32", storage?: Storage): Binding =>
  binding("write", shape, element, storage);
export const readWrite = (shape: string, element: Element = "f32", storage?: Storage): Binding =>
  binding("read_write", shape, element, storage);

function binding(
  access: Access,
  shape: string,
  element: Element,
  storage: Storage = element.includes("f32") ? "f32" : element.includes("f16") ? "f16" : "u32",
): Binding {
  return { access, element, storage, shape };
}

const ELEMENT_BYTES: Record<Element, number> = {
  f32: 4,
  u32: 4,
  "vec2<u32>": 8,
  "vec4<f32>": 16,
  "vec4<u32>": 16,
  f16: 2,
  "vec4<f16>": 8,
};
export const elementBytes = (element: Element): number => ELEMENT_BYTES[element];
export const storageBytes = (storage: Storage): number =>
  storage === "f16" || storage === "bf16" ? 2 : 4;

/** Scalars in a binding of these sizes: `scalarCount("T,N*H", { T: 2, N: 4, H: 32 })` is 256. */
export function scalarCount(shape: string, dims: Dims): number {
  let count = 1;
  for (const name of shape.split(/[,*]/)) {
    const size = /^\d+$/.test(name) ? Number(name) : dims[name];
    if (size === undefined) {
      throw new KernelError(
        "missing_dim",
        `shape "${shape}" needs dim ${name}, got ${Object.keys(dims).join(", ")}; pass it`,
      );
    }
    count *= size;
  }
  return count;
}
export function bindingBytes({ shape, storage, packing }: Binding, dims: Dims): number {
  if (!packing) return scalarCount(shape, dims) * storageBytes(storage);
  return packing.bytes(...shapeSizes(shape, dims));
}

/** `shapeSizes("T,N*H", { T: 2, N: 4, H: 32 })` is [2, 128]. */
export const shapeSizes = (shape: string, dims: Dims): number[] =>
  shape.split(",").map((size) => scalarCount(size, dims));

export const ceilDiv = (a: number, b: number): number => Math.floor((a + b - 1) / b);

/** Tag for shader text: editors highlight it; numbers and fragments are pasted as they are. */
export const wgsl = (strings: TemplateStringsArray, ...values: (string | number)[]): string =>
  String.raw({ raw: strings }, ...values);
