/**
 * What a matrix kernel does with a finished sum: optional bias, then store, add to the residual
 * stream, each times a number if a model has one, or gate. A gated epilogue takes two sums, of weight rows n and n + N; that of the QKV matrix
 * takes eight (rope-kv-epilogue.ts).
 */
import { type Activation, activations } from "./activation.ts";
import { type Binding, type Dims, read, readWrite, type Views, wgsl, write } from "./kernel.ts";
import type { MatmulRows } from "./matmul-rows.ts";
import {
  isRopeKv,
  type RopeKvTail,
  ropeKvBindings,
  ropeKvBytes,
  ropeKvFlops,
  ropeKvParams,
  ropeKvReference,
  ropeKvWgsl,
} from "./rope-kv-epilogue.ts";

import { softCapReference, softCapWgsl } from "./soft-cap.ts";

export interface Epilogue {
  readonly bias: boolean;
  readonly tail: "store" | "residual" | ScaledTail | Activation | RopeKvTail;
}

/** `store` and `residual` of the sum times the param `scale`; `store` of the sum with `scale` as soft cap. */
type ScaledTail = "scaled_store" | "scaled_residual" | "capped_store";
const isScaled = ({ tail }: Epilogue): boolean => /^(scaled|capped)_/.test(tail);
export const addsToResidual = ({ tail }: Epilogue): boolean => tail.endsWith("residual");

export const isGated = ({ tail }: Epilogue): boolean => tail in activations;
/** Whether `finish` takes the sums of eight outputs, as two quads. */
export const takesOctets = ({ tail }: Epilogue): boolean => isRopeKv(tail);
/** Weight rows behind one output column. */
export const rowsPerOutput = (epilogue: Epilogue): 1 | 2 => (isGated(epilogue) ? 2 : 1);
export const epilogueName = ({ bias, tail }: Epilogue): string => (bias ? `bias_${tail}` : tail);

export function epilogueBindings(
  epilogue: Epilogue,
  rows: MatmulRows = "all",
): Record<string, Binding> {
  if (isRopeKv(epilogue.tail)) return ropeKvBindings(epilogue.tail, epilogue.bias);
  const out = (addsToResidual(epilogue) ? readWrite : write)("T,out_stride");
  const own = isGated(epilogue) ? "2*out_stride" : "out_stride";
  const bias = read(rows === "all" ? own : `all_experts*${own}`);
  return epilogue.bias ? { bias, out } : { out };
}

export const epilogueParams = (epilogue: Epilogue): Record<string, "u32" | "f32"> =>
  isRopeKv(epilogue.tail) ? ropeKvParams : isScaled(epilogue) ? { scale: "f32" } : {};

/**
 * `fn finish(row, column, sum)`, or `finish(row, column, gate, up)` when gated; and, for shapes of few
 * rows, `fn weight_row(output)`: outputs need not come in the order of the weight's rows.
 */
export function epilogueWgsl(epilogue: Epilogue): string {
  if (isRopeKv(epilogue.tail)) return ropeKvWgsl(epilogue.tail, epilogue.bias);
  return wgsl`fn weight_row(output: u32) -> u32 { return first_weight_row() + output; }
${finishWgsl(epilogue)}`;
}

function finishWgsl(epilogue: Epilogue): string {
  const biased = (sum: string, column: string) =>
    epilogue.bias ? `(${sum} + load_bias(${column}))` : sum;
  const at = "out_row(row) * params.out_stride + params.out_offset + column";
  // The bias of a matrix in several bindings is whole.
  const own = "first_bias() + params.out_offset + column";
  const sum = biased("sum", own);
  if (epilogue.tail === "store") {
    return wgsl`fn finish(row: u32, column: u32, sum: f32) { store_out(${at}, ${sum}); }`;
  }
  if (epilogue.tail === "residual") {
    return wgsl`fn finish(row: u32, column: u32, sum: f32) {
  store_out(${at}, load_out(${at}) + ${sum});
}`;
  }
  if (epilogue.tail === "scaled_store") {
    return wgsl`fn finish(row: u32, column: u32, sum: f32) {
  store_out(${at}, ${sum} * params.scale);
}`;
  }
  if (epilogue.tail === "capped_store") {
    return wgsl`${softCapWgsl}
fn finish(row: u32, column: u32, sum: f32) {
  store_out(${at}, soft_cap(vec4<f32>(${sum}), params.scale).x);
}`;
  }
  if (epilogue.tail === "scaled_residual") {
    // Explicit, since compilers may contract a product and a sum, in one shape and not in another.
    return wgsl`fn finish(row: u32, column: u32, sum: f32) {
  store_out(${at}, fma(${sum}, params.scale, load_out(${at})));
}`;
  }
  return wgsl`${activations[epilogue.tail as Activation].wgsl}
fn finish(row: u32, column: u32, gate: f32, up: f32) {
  store_out(${at}, gated(${biased("gate", own)}, ${biased("up", `params.out_stride + ${own}`)}));
}`;
}

export const epilogueFlops = ({ tail }: Epilogue, dims: Dims): number =>
  isRopeKv(tail) ? ropeKvFlops(dims) : 0;

/** Bytes that `finish` moves for T rows of N columns. */
export function epilogueBytes(epilogue: Epilogue, dims: Dims): Record<string, number> {
  if (isRopeKv(epilogue.tail)) return ropeKvBytes(epilogue.tail, epilogue.bias, dims);
  const { T, N } = dims;
  const out = (addsToResidual(epilogue) ? 8 : 4) * T * N;
  return epilogue.bias ? { bias: 4 * rowsPerOutput(epilogue) * T * N, out } : { out };
}

/**
 * The slow twin of `finish`, for a row of sums in the order of the weight's rows.
 * @param firstBias Of the expert, where there are several.
 */
export function finishReference(
  epilogue: Epilogue,
  io: Views,
  row: number,
  sums: Float64Array,
  dims: Dims,
  firstBias = 0,
): void {
  const { tail } = epilogue;
  if (isRopeKv(tail)) {
    ropeKvReference(io, row, sums, dims);
    return;
  }
  const { N, out_stride, out_offset, scale } = dims;
  for (let n = 0; n < N; n++) {
    const column = out_offset + n;
    const at = row * out_stride + column;
    const sum = sums[n] + (io.bias ? io.bias[firstBias + column] : 0);
    if (isGated(epilogue)) {
      const up = sums[N + n] + (io.bias ? io.bias[firstBias + out_stride + column] : 0);
      io.out[at] = activations[tail as Activation].reference(sum, up);
    } else {
      const scaled =
        tail === "capped_store"
          ? softCapReference(sum, scale)
          : isScaled(epilogue)
            ? sum * scale
            : sum;
      io.out[at] = addsToResidual(epilogue) ? io.out[at] + scaled : scaled;
    }
  }
}
