/**
 * The roofline: the least time that memory and arithmetic of an adapter allow a kernel. Arithmetic
 * alone; the adapter's two rates are measured by probes.ts.
 */
import {
  type Binding,
  bindingBytes,
  type Dims,
  type Kernel,
  usesIntegerDots,
} from "../../kernels/index.ts";

export interface Peaks {
  /** 1e9 bytes per second. */
  readonly gbPerS: number;
  /** 1e9 floating-point operations per second. */
  readonly gflopPerS: number;
  /** 1e9 operations of integer dot products per second, where kernels of int8 rows were asked for. */
  readonly dotGOpPerS?: number;
}

export interface Traffic {
  readonly flops: number;
  /** Bytes that must cross the memory bus: every binding once, however often the kernel reads it. */
  readonly bytes: number;
  /** Bytes that the kernel's own loads and stores move, re-reads out of caches included. */
  readonly loadedBytes: number;
  /** Its flops are those of integer dot products. */
  readonly isInteger: boolean;
}

export function trafficOf(kernel: Kernel, dims: Dims): Traffic {
  const cost = kernel.cost(dims);
  let bytes = 0;
  let loadedBytes = 0;
  for (const [name, binding] of Object.entries(kernel.bindings)) {
    const moved = cost.bytes[name] ?? 0;
    const passes = binding.access === "read_write" ? 2 : 1;
    bytes += isSized(binding, dims) ? Math.min(moved, passes * bindingBytes(binding, dims)) : moved;
    loadedBytes += moved;
  }
  return { flops: cost.flops, bytes, loadedBytes, isInteger: usesIntegerDots(kernel) };
}

/** Calls of a model say the sizes that a kernel reads, not those of buffers it only looks into. */
const isSized = ({ shape }: Binding, dims: Dims): boolean =>
  shape.split(/[,*]/).every((size) => size in dims || /^\d+$/.test(size));

/** Microseconds. */
export function rooflineUs(
  { bytes, flops, isInteger }: Pick<Traffic, "bytes" | "flops"> & { readonly isInteger?: boolean },
  { gbPerS, gflopPerS, dotGOpPerS = gflopPerS }: Peaks,
): number {
  return Math.max(bytes / (1e3 * gbPerS), flops / (1e3 * (isInteger ? dotGOpPerS : gflopPerS)));
}

/** Flops per byte above which arithmetic, not memory, is what limits. */
export const ridge = ({ gbPerS, gflopPerS }: Peaks): number => gflopPerS / gbPerS;
