/**
 * What a matrix kernel does with a finished sum: optional bias, then store, add to the residual
 * stream, or gate. A gated epilogue takes two sums, of weight rows n and n + N.
 */
import { type Activation, activations } from "./activation.ts";
import { type Binding, read, readWrite, wgsl, write } from "./kernel.ts";

export interface Epilogue {
  readonly bias: boolean;
  readonly tail: "store" | "residual" | Activation;
}

export const isGated = ({ tail }: Epilogue): boolean => tail !== "store" && tail !== "residual";
/** Weight rows behind one output column. */
export const rowsPerOutput = (epilogue: Epilogue): 1 | 2 => (isGated(epilogue) ? 2 : 1);
export const epilogueName = ({ bias, tail }: Epilogue): string => (bias ? `bias_${tail}` : tail);

export function epilogueBindings(epilogue: Epilogue): Record<string, Binding> {
  const out = (epilogue.tail === "residual" ? readWrite : write)("T,out_stride");
  const bias = read(isGated(epilogue) ? "2*N" : "out_stride");
  return epilogue.bias ? { bias, out } : { out };
}

/** `fn finish(row, column, sum)`, or `finish(row, column, gate, up)` when gated. */
export function epilogueWgsl(epilogue: Epilogue): string {
  const biased = (sum: string, column: string) =>
    epilogue.bias ? `(${sum} + load_bias(${column}))` : sum;
  const at = "row * params.out_stride + params.out_offset + column";
  // The bias of a matrix in several bindings is whole.
  const sum = biased("sum", "params.out_offset + column");
  if (epilogue.tail === "store") {
    return wgsl`fn finish(row: u32, column: u32, sum: f32) { store_out(${at}, ${sum}); }`;
  }
  if (epilogue.tail === "residual") {
    return wgsl`fn finish(row: u32, column: u32, sum: f32) {
  store_out(${at}, load_out(${at}) + ${sum});
}`;
  }
  return wgsl`${activations[epilogue.tail].wgsl}
fn finish(row: u32, column: u32, gate: f32, up: f32) {
  store_out(${at}, activate(${biased("gate", "column")}) * ${biased("up", "column + params.N")});
}`;
}

/** Bytes that `finish` moves for T rows of N columns. */
export function epilogueBytes(epilogue: Epilogue, T: number, N: number): Record<string, number> {
  const out = (epilogue.tail === "residual" ? 8 : 4) * T * N;
  return epilogue.bias ? { bias: 4 * rowsPerOutput(epilogue) * T * N, out } : { out };
}

/** The slow twin of `finish`. `sums` holds one or two sums of the output column. */
export function finishReference(
  epilogue: Epilogue,
  io: { bias?: Float32Array; out: Float32Array },
  at: number,
  column: number,
  numColumns: number,
  sum: number,
  up: number,
): void {
  const bias = io.bias ? io.bias[column] : 0;
  if (epilogue.tail === "store") io.out[at] = sum + bias;
  else if (epilogue.tail === "residual") io.out[at] += sum + bias;
  else {
    const upBias = io.bias ? io.bias[numColumns + column] : 0;
    io.out[at] = activations[epilogue.tail].reference(sum + bias) * (up + upBias);
  }
}
