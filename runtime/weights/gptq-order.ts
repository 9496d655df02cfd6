/** GPTQ's `g_idx`, the group of each column. Refuses act-order: groups whose columns lie apart. */
import { WeftError } from "../errors.ts";
import type { TensorEntry } from "./checkpoint.ts";
import { asWords } from "./int4-matrix.ts";
import { streamSpan } from "./stream.ts";

/** @throws {WeftError} `unsupported_model` where some column's group is not the one it lies in. */
export async function requireNoActOrder(
  order: TensorEntry,
  groupColumns: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let column = 0;
  for await (const { bytes } of streamSpan(order, { signal })) {
    for (const group of asWords(bytes)) {
      const expected = Math.floor(column / groupColumns);
      if (group !== expected) throw actOrder(order, column, group, expected);
      column++;
    }
  }
}

const actOrder = (
  { name, source }: TensorEntry,
  column: number,
  group: number,
  expected: number,
): WeftError =>
  new WeftError(
    "unsupported_model",
    `tensor ${name} in ${source.name} puts column ${column} into group ${group}, without act-order ` +
      `it is in group ${expected}; take a GPTQ model with desc_act false, or as AWQ, MLX or GGUF`,
  );
