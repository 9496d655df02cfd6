/**
 * What the lab puts into memory. For timing, a pattern of ordinary numbers is enough: neither zeros,
 * nor NaN, nor the tiny ones that processors handle slowly.
 */

import type { Device, DeviceBuffer } from "../../index.ts";
import {
  type Binding,
  type Dims,
  type Kernel,
  normal,
  type Probe,
  scalarCount,
  seededRandom,
} from "../../kernels/index.ts";

const PATTERN_BYTES = 1 << 20;
const patterns = new Map<string, Uint8Array>();

/** How a binding's pattern looks: bindings of one kind can share memory. */
export const patternKind = (binding: Binding): string =>
  "packing" in binding ? "packed" : binding.storage;

/** 1 MiB of a kind; longer slices repeat it. */
export function pattern(kind: string): Uint8Array {
  const known = patterns.get(kind);
  if (known) return known;
  const made = makePattern(kind);
  patterns.set(kind, made);
  return made;
}

function makePattern(kind: string): Uint8Array {
  const random = seededRandom(7);
  if (kind === "f32") {
    return new Uint8Array(normal(PATTERN_BYTES / 4, random, 0.5).buffer);
  }
  // As f16 every half is in ±[0.06, 0.125), as bf16 or f32 it is small, and packed scales are some
  // of those; the low bits, and with them all quantised codes, are random.
  const words = new Uint32Array(PATTERN_BYTES / 4);
  for (let i = 0; i < words.length; i++) {
    words[i] = kind === "bf16" ? 0x3d003d00 : 0x2c002c00;
    words[i] |= (random() * 2 ** 32) & (kind === "bf16" ? 0x807f807f : 0x83ff83ff);
  }
  return new Uint8Array(words.buffer);
}

/** Repeats the pattern over the buffer. */
export function fill(device: Device, buffer: DeviceBuffer, kind: string): void {
  const bytes = pattern(kind);
  for (let at = 0; at < buffer.sizeBytes; at += bytes.length) {
    device.write(buffer, at, bytes.subarray(0, Math.min(bytes.length, buffer.sizeBytes - at)));
  }
}

export type Inputs = Record<string, Float32Array | Uint32Array>;

/**
 * A known-answer test of the kernel at these sizes: the given inputs, and normal values elsewhere.
 * Weights are scaled so that sums of products stay near 1.
 */
export function probeAt(kernel: Kernel, dims: Dims, given: () => Inputs): Probe {
  return {
    dims,
    inputs: (random) => {
      const inputs = given();
      for (const [name, binding] of Object.entries(kernel.bindings)) {
        if (binding.access === "write" || name in inputs) continue;
        const scale = name === "weight" && dims.K ? 1 / Math.sqrt(dims.K) : 1;
        inputs[name] = normal(scalarCount(binding.shape, dims), random, scale);
      }
      return inputs;
    },
  };
}
