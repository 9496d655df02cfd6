/**
 * Cosines and sines of rotary position embedding, computed on the host in float64.
 * Owns frequencies and their scaling; rotates nothing.
 */
import { KernelError } from "./errors.ts";

export type RopeScaling =
  | { readonly type: "default" }
  /** No rotation at all: R = 0 (NoPE layers). */
  | { readonly type: "none" }
  /** Positions divided by `factor`. */
  | { readonly type: "linear"; readonly factor: number }
  /** Each of the R/2 frequencies divided by a number of its own, as GGUF stores a llama3 scaling. */
  | { readonly type: "divisors"; readonly divisors: readonly number[] }
  /** Low frequencies divided by `factor`, high ones kept, a linear blend between. */
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      /** Positions the model was first trained on. */
      readonly originalContext: number;
    }
  | LongRope
  | Yarn;

/**
 * Each frequency divided by a number of its own, of one list or of another: by how many positions a
 * table has, not by how long a sequence is, since keys that are written cannot be rotated anew.
 * @see arXiv:2402.13753.
 */
export interface LongRope {
  readonly type: "longrope";
  /** For tables of up to `originalContext` positions. */
  readonly shortDivisors: readonly number[];
  readonly longDivisors: readonly number[];
  readonly originalContext: number;
  /** Of cosines and sines. */
  readonly attentionFactor: number;
}

/**
 * Pairs that turn more than `betaFast` times in the first context keep their frequency, those that
 * turn less than `betaSlow` times have it divided by `factor`, with a linear blend of pairs between.
 * @see arXiv:2309.00071 §3.2.
 */
export interface Yarn {
  readonly type: "yarn";
  readonly factor: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  readonly originalContext: number;
  /** Whether the blend begins and ends at whole pairs. */
  readonly truncate: boolean;
  /** Of cosines and sines. */
  readonly attentionFactor: number;
}

export interface RopeSpec {
  /** H: dims of one head. */
  readonly headDim: number;
  /** `rope_theta`. */
  readonly base: number;
  /** Share of the head's dims that rotate, from dim 0 on; 1 unless the config has `partial_rotary_factor`. */
  readonly rotaryFactor?: number;
  readonly scaling: RopeScaling;
}

/**
 * R: dims of a head that rotate.
 * @throws {KernelError} "bad_shape" when R is not a multiple of 8 (the kernels rotate four pairs at a time).
 */
export function rotaryDims({ headDim, rotaryFactor = 1, scaling }: RopeSpec): number {
  if (scaling.type === "none") return 0;
  const dims = Math.floor(headDim * rotaryFactor);
  if (dims % 8 !== 0 || dims <= 0 || dims > headDim) {
    throw new KernelError(
      "bad_shape",
      `rope would rotate ${dims} of ${headDim} dims, the kernels need a multiple of 8 up to the ` +
        "head size; check partial_rotary_factor and head_dim",
    );
  }
  return dims;
}

/** Radians per position of each pair, R/2 of them, for tables of so many positions. */
export function ropeFrequencies(spec: RopeSpec, numPositions = 1): Float64Array {
  const R = rotaryDims(spec);
  const plain = Float64Array.from({ length: R / 2 }, (_, i) => spec.base ** ((-2 * i) / R));
  const { scaling } = spec;
  if (scaling.type === "linear") return plain.map((frequency) => frequency / scaling.factor);
  if (scaling.type === "divisors")
    return plain.map((frequency, i) => frequency / scaling.divisors[i]);
  if (scaling.type === "longrope") {
    const { shortDivisors, longDivisors, originalContext } = scaling;
    const divisors = numPositions > originalContext ? longDivisors : shortDivisors;
    return plain.map((frequency, i) => frequency / divisors[i]);
  }
  if (scaling.type === "yarn") return yarnFrequencies(plain, spec.base, scaling);
  if (scaling.type !== "llama3") return plain;
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  return plain.map((frequency) => {
    const turns = (originalContext * frequency) / (2 * Math.PI);
    // 0 where the first context held fewer than lowFreqFactor turns, 1 above highFreqFactor.
    const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    const share = Math.max(0, Math.min(1, kept));
    return frequency * (share + (1 - share) / factor);
  });
}

function yarnFrequencies(
  plain: Float64Array,
  base: number,
  { factor, betaFast, betaSlow, originalContext, truncate }: Yarn,
): Float64Array {
  const R = 2 * plain.length;
  /** The pair, not a whole number, that turns so often in the first context. */
  const pairOf = (turns: number) =>
    (R * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(R - 1, truncate ? Math.ceil(last) : last);
  // A blend over nothing would divide by 0; upstream gives it this width.
  const width = high === low ? 0.001 : high - low;
  return plain.map((frequency, pair) => {
    const share = Math.max(0, Math.min(1, (pair - low) / width));
    return frequency * (1 - share + share / factor);
  });
}

/**
 * `rope_table [C,R]`: for each position R/2 cosines, then R/2 sines, times the attention factor if any. Empty when nothing rotates;
 * bind any 16 bytes then.
 */
export function ropeTable(spec: RopeSpec, numPositions: number): Float32Array {
  const frequencies = ropeFrequencies(spec, numPositions);
  const factor = "attentionFactor" in spec.scaling ? spec.scaling.attentionFactor : 1;
  const half = frequencies.length;
  const table = new Float32Array(numPositions * 2 * half);
  for (let position = 0; position < numPositions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i];
      table[position * 2 * half + i] = factor * Math.cos(angle);
      table[position * 2 * half + half + i] = factor * Math.sin(angle);
    }
  }
  return table;
}
