/**
 * What is measured of multi-head latent attention: queries into the latent, the write of what the cache
 * keeps, attention there, and the way out. Data; runs nothing.
 */
import {
  attentionReduce,
  attentionWork,
  type Dims,
  headMatmul,
  type Kernel,
  latentDecode,
  latentPrefill,
  latentShapeDims,
  latentWrite,
  normal,
  seededRandom,
  type WeightFormatName,
} from "../../kernels/index.ts";
import type { Inputs } from "./contents.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";

const B = 32;
const KV = "f16";

/** Few rows are sequences of their own, with all of the model's context; more are a prompt. */
export function latentCases(
  model: ModelShape,
  T: number,
  { formatsOf }: { formatsOf(role: string): readonly WeightFormatName[] },
): LabCase[] {
  if (!model.latent) return [];
  const { numHeads: N, contextTokens: C } = model;
  const { rank: H, ropeDims: R, nopeDims, valueDims } = model.latent;
  const isPrompt = T === model.rows[2];
  const { J, Z, X } = latentShapeDims({ N, H, R, B });
  const ranges = isPrompt
    ? [{ firstRow: 0, numRows: T, sequence: 0, firstPosition: 0 }]
    : Array.from({ length: T }, (_, i) => ({
        ...{ firstRow: i, numRows: 1, sequence: i, firstPosition: C - 1 },
      }));
  const work = attentionWork(ranges, B, { window: 0, maxDecodeTiles: Number.POSITIVE_INFINITY });
  const S = ranges.length;
  const M = Math.ceil((isPrompt ? T : C) / B);
  const dims: Dims = {
    ...{ T, S, M, P: 1 + S * M, N, K: 1, H, R, X, J, Z, B, C, Y: nopeDims + R, eps: 1e-6 },
    ...{ window: 0, scale: (nopeDims + R) ** -0.5 },
    ...work.dims,
  };
  const caseOf = (role: string, kernels: readonly Kernel[], of: Dims, inputs: () => Inputs) => ({
    ...{ model: model.name, rows: T, role, kernels, dims: of, inputs },
    operation: kernels[0].name.replace(/[.[].*/, ""),
  });
  // Neighbours in a sequence are not neighbours in memory: blocks are dealt out in turn.
  const lists = () => ({
    block_table: Uint32Array.from({ length: S * M }, (_, i) => 1 + (i % M) * S + Math.floor(i / M)),
    decode_tiles: work.decodeTiles,
    decode_rows: work.decodeRows,
    query_tiles: work.queryTiles,
  });
  const places = () => ({
    token_places: Uint32Array.from({ length: 2 * T }, (_, i) => (i % 2 ? B + (i >> 1) : i >> 1)),
  });
  const perHead = { T, N, L: H, head_rows: nopeDims + valueDims };
  const into = { ...perHead, D: nopeDims, first_row: 0, x_head: nopeDims + R, out_head: X };
  const outOf = { ...perHead, D: valueDims, first_row: nopeDims, x_head: H, out_head: valueDims };
  const none = () => ({});
  const matrices = (side: "columns" | "rows") =>
    formatsOf("kv_up")
      .filter((format) => H % 256 === 0 || !format.endsWith("_k"))
      .map((format) => headMatmul(format, side));
  const context = `latent, ${isPrompt ? T : C} positions`;
  const attended = isPrompt
    ? [caseOf(context, [latentPrefill(KV)], dims, lists)]
    : [
        caseOf(context, [latentDecode(KV)], dims, lists),
        caseOf(context, [attentionReduce], dims, () => ({
          ...lists(),
          partials: partials(dims.W * J, Z),
        })),
      ];
  return [
    caseOf("latent, cache", [latentWrite(KV)], { ...dims, P: 1 + Math.ceil(T / B) }, places),
    caseOf("queries to the latent", matrices("columns"), into, none),
    ...attended,
    caseOf("values from the latent", matrices("rows"), outOf, none),
  ];
}

/** As decode leaves them: per tile and quad a maximum, a sum that is positive, and H outputs. */
function partials(count: number, Z: number): Float32Array {
  const values = normal(count * Z * 4, seededRandom(5));
  for (let i = 0; i < count; i++) values.fill(4, (i * Z + 1) * 4, (i * Z + 2) * 4);
  return values;
}
