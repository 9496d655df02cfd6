/**
 * What is measured of a mixture of experts: the choice, the grouping, both products and the sum. Tokens
 * choose evenly, as a trained router makes them do on the whole. Data; runs nothing.
 */
import {
  expertBlocks,
  expertCombine,
  type Kernel,
  type MatmulShape,
  matmul,
  type RouterSpec,
  route,
  routeDims,
  rowsFor,
  type WeightFormatName,
} from "../../kernels/index.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";

interface ExpertOptions {
  /** Shapes that may take so many rows. */
  shapesFor(rows: number): readonly MatmulShape[];
  formatsOf(role: string): readonly WeightFormatName[];
}

export function expertCases(model: ModelShape, T: number, options: ExpertOptions): LabCase[] {
  if (!model.experts) return [];
  const { hiddenSize: D, ffnSize: F } = model;
  const { count: E, chosen: k } = model.experts;
  const S = T * k;
  const router: RouterSpec = {
    ...{ experts: E, chosen: k, score: "softmax", choiceBias: false, renormaliseEps: 0, scale: 1 },
  };
  const caseOf = (
    kernels: readonly Kernel[],
    role: string,
    of: Pick<LabCase, "dims" | "inputs">,
  ) => ({
    ...{ model: model.name, rows: T, role, kernels, ...of },
    operation: kernels[0].name.replace(/[.[].*/, ""),
  });
  const nothing = () => ({});
  const logits = route({ score: "softmax", choiceBias: false, groups: "none" });
  const sum = expertCombine({ shared: "none", identity: false });
  const cases = [
    caseOf([logits], "choice of experts", { dims: routeDims(router, T, E), inputs: nothing }),
    caseOf([sum], "sum of experts", { dims: { T, k, D, scale: 1 }, inputs: nothing }),
  ];
  const few = T <= 16;
  const shapes = options.shapesFor(few ? 1 : T);
  for (const blockRows of new Set(shapes.map(({ rowsPerGroup }) => rowsPerGroup))) {
    const taken = shapes.filter(({ rowsPerGroup }) => rowsPerGroup === blockRows);
    const ids = evenly(S, E);
    const blocks = blocksOf(S, E, blockRows);
    if (blockRows > 1) {
      const dims = { S, E, num_blocks: blocks.num_blocks, block_rows: blockRows };
      const inputs = () => ({ ids });
      cases.push(caseOf([expertBlocks], `slots in blocks of ${blockRows}`, { dims, inputs }));
    }
    for (const [role, tail, N, K, slots_per_x] of [
      ["gate_up", "silu", F, D, k],
      ["down", "store", D, F, 1],
    ] as const) {
      const kernels = taken.flatMap(({ name: shape, ...cut }) =>
        options.formatsOf(role).map((format) => {
          const epilogue = { bias: false, tail } as const;
          return matmul({ format, shape, epilogue, rows: rowsFor(cut) });
        }),
      );
      const sizes = { T: S, N, K, out_stride: N, out_offset: 0, x_rows: S / slots_per_x };
      const stack = { experts: E, first_expert: 0, slots_per_x, own_slots: S };
      cases.push(
        caseOf(kernels, `experts ${role}${few ? "" : `, blocks of ${blockRows}`}`, {
          dims: { ...sizes, ...stack, ...(!few && { ...blocks.dims }) },
          inputs: () => (few ? { expert_ids: ids } : blocks.inputs()),
        }),
      );
    }
  }
  return cases;
}

const evenly = (S: number, E: number): Uint32Array =>
  Uint32Array.from({ length: S }, (_, slot) => slot % E);

/** Slots of `evenly`, by expert. */
function blocksOf(S: number, E: number, blockRows: number) {
  const places: number[] = [];
  const blocks: number[] = [];
  for (let e = 0; e < Math.min(S, E); e++) {
    const own = Array.from({ length: Math.ceil((S - e) / E) }, (_, i) => e + i * E);
    for (let at = 0; at < own.length; at += blockRows) {
      const rows = own.slice(at, at + blockRows);
      blocks.push(e, rows.length);
      places.push(...rows, ...Array<number>(blockRows - rows.length).fill(0));
    }
  }
  const num_blocks = blocks.length / 2;
  return {
    num_blocks,
    dims: { num_blocks, used_blocks: num_blocks, places: places.length },
    inputs: () => ({ places: Uint32Array.from(places), blocks: Uint32Array.from(blocks) }),
  };
}
