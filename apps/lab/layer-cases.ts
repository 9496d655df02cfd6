/** What is measured of layers that are skipped. Data; runs nothing. */
import {
  blockInfluence,
  type Dims,
  exitGate,
  gateDispatches,
  type Kernel,
  layerRouter,
  lowRank,
  MAX_RANK,
  markedRows,
  numWindows,
  rowConfidence,
  windowMeans,
} from "../../kernels/index.ts";
import type { Inputs } from "./contents.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";

const none = (): Inputs => ({});

/** Rows that a router decides for together are a prompt; a low-rank pair stands in for rows that decode. */
export function layerCases(model: ModelShape, T: number): LabCase[] {
  const { hiddenSize: D } = model;
  const caseOf = (role: string, kernels: readonly Kernel[], dims: Dims, inputs = none) => ({
    ...{ model: model.name, rows: T, role, kernels, dims, inputs },
    operation: kernels[0].name.replace(/[.[].*/, ""),
  });
  return [
    caseOf("influence of a layer", [blockInfluence], { T, D }),
    caseOf("windows of a prompt", [windowMeans], { T, D, first_row: 0, n: T }),
    caseOf("whether a layer runs", [layerRouter], { W: numWindows(T), D, S: 1, slot: 0 }),
    // Of its two runs.
    caseOf("which dispatches run", [gateDispatches], { S: 1, N: 20, slot: 0 }),
    // Many rows are two matrix products; and only rows that decode leave off.
    ...(T <= 16
      ? [
          caseOf("how sure rows are", [rowConfidence], { R: T, V: model.vocabSize }),
          caseOf("which rows leave off", [exitGate], {
            ...{ R: T, N: 20, mark: 1, first: 1, together: 0, threshold: 0.9 },
          }),
          caseOf("rows that have left off", [markedRows], { T, R: T, C: T, D, mark: 1 }, () => ({
            marks: new Uint32Array(T).fill(1),
          })),
          caseOf(
            "in place of a sublayer",
            [lowRank("f32"), lowRank("f16")],
            { T, R: T, D, r: MAX_RANK },
            () => ({ rows: Uint32Array.from({ length: T }, (_, i) => i) }),
          ),
        ]
      : []),
  ];
}
