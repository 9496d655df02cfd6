/** One expert of a stack as a weight of its own, and a stack of slots that has no tensors. */
import type { PlacedWeight } from "../placed-weight.ts";
import type { WeightTensor } from "../weights/checkpoint.ts";

/** Rows of one matrix of a stack; a vector counts as one. */
const rowsOf = ({ spec: { rows, stacked, vector } }: PlacedWeight): number =>
  vector ? 1 : rows / stacked;

export function expertOf(weight: PlacedWeight, expert: number): PlacedWeight {
  const { spec, runs } = weight;
  const rows = rowsOf(weight);
  const tensors: WeightTensor[] = [];
  let firstRow = 0;
  for (const tensor of runs[0].tensors) {
    const from = Math.max(0, expert * rows - firstRow);
    const to = Math.min(tensor.shape[0], (expert + 1) * rows - firstRow);
    if (from < to) tensors.push(rowsOfTensor(tensor, from, to));
    firstRow += tensor.shape[0];
  }
  return resized(weight, `${spec.name}.${expert}`, 1, tensors);
}

export const stackOf = (weight: PlacedWeight, name: string, slots: number): PlacedWeight =>
  resized(weight, name, slots, []);

function resized(
  weight: PlacedWeight,
  name: string,
  stacked: number,
  tensors: readonly WeightTensor[],
): PlacedWeight {
  const { spec, runs } = weight;
  const [{ format, sizeBytes }] = runs;
  const rows = stacked * rowsOf(weight);
  const size = spec.vector
    ? { rows: 1, columns: (spec.columns / spec.stacked) * stacked }
    : { rows, columns: spec.columns };
  const bytes = (sizeBytes / spec.stacked) * stacked;
  return {
    spec: { ...spec, ...size, name, stacked, parts: [] },
    runs: [{ format, firstRow: 0, rows, tensors, sizeBytes: bytes }],
  };
}

/** Of a tensor that makes its bytes, those of the same rows. */
function rowsOfTensor(tensor: WeightTensor, from: number, to: number): WeightTensor {
  const [rows, ...columns] = tensor.shape;
  if (from === 0 && to === rows) return tensor;
  const rowBytes = tensor.byteLength / rows;
  const { pieces } = tensor;
  return {
    ...tensor,
    shape: [to - from, ...columns],
    offset: tensor.offset + from * rowBytes,
    byteLength: (to - from) * rowBytes,
    ...(pieces && {
      pieces: (options) => pieces({ ...options, from: from * rowBytes, to: to * rowBytes }),
    }),
  };
}
