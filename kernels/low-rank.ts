/**
 * What stands in for a sublayer that is skipped: two thin matrices, one after the other, added to the rows
 * that skip it. Few rows; many are two matrix products, with the same bits.
 */
import { type Dims, defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 128;
export const MAX_RANK = 64;
/** Of a row of `down`, summed at a time. */
const CHUNKS = 32;

export type LowRankStorage = "f32" | "f16";

const storages = {
  f32: { element: "vec4<f32>", quad: (load: string) => load },
  f16: {
    element: "vec2<u32>",
    quad: (load: string) => `quad_of(${load})`,
  },
} as const;

/**
 *   x [T,D]  rows [R] u32  down [r,D]  up [D,r]  → out [T,D], rows of it += up · (down · x)
 *
 * Rows that are named once. Both products sum in chunks of 32, fma ascending inside a chunk from 0, chunk sums
 * ascending from 0, and the second is added to the row as a matrix kernel's residual is. The first is kept
 * in f32. One workgroup per row; D is a multiple of 4, r of 4 and at most 64.
 * Cost: 8·r·D bytes a row in f32.
 * @see Informed Routing, arXiv:2510.13831 (execute or approximate); LoRA, arXiv:2106.09685.
 */
export const lowRank = (storage: LowRankStorage): Kernel => kernels[storage];

const build = (storage: LowRankStorage): Kernel => {
  const { element, quad } = storages[storage];
  return defineKernel({
    name: `low_rank[${storage}]`,
    numerics: "matmul/chunk32",
    bindings: {
      x: read("T,D", "vec4<f32>"),
      rows: read("R", "u32"),
      down: read("r,D", element, storage),
      up: read("D,r", element, storage),
      out: readWrite("T,D"),
    },
    params: { D: "u32", r: "u32" },
    wgsl: wgsl`
var<workgroup> inner: array<f32, ${MAX_RANK}>;
var<workgroup> chunk_sums: array<f32, ${MAX_RANK * CHUNKS}>;
${storage === "f16" ? quadWgsl : ""}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = load_rows(wg.x);
  let quads = params.D / 4u;
  let chunks = (params.D + 31u) / 32u;
  var total = 0.0;
  for (var base = 0u; base < chunks; base += ${CHUNKS}u) {
    let count = min(${CHUNKS}u, chunks - base);
    for (var item = lid.x; item < params.r * count; item += ${LANES}u) {
      let j = item / count;
      let start = (base + item % count) * 8u;
      var sum = 0.0;
      for (var i = start; i < min(start + 8u, quads); i++) {
        let weight = ${quad("load_down(j * quads + i)")};
        let v = load_x(row * quads + i);
        sum = fma(weight.x, v.x, sum);
        sum = fma(weight.y, v.y, sum);
        sum = fma(weight.z, v.z, sum);
        sum = fma(weight.w, v.w, sum);
      }
      chunk_sums[item] = sum;
    }
    workgroupBarrier();
    if (lid.x < params.r) {
      for (var i = lid.x * count; i < (lid.x + 1u) * count; i++) { total += chunk_sums[i]; }
    }
    workgroupBarrier();
  }
  if (lid.x < params.r) { inner[lid.x] = total; }
  workgroupBarrier();
  let rank_quads = params.r / 4u;
  for (var column = lid.x; column < params.D; column += ${LANES}u) {
    var added = 0.0;
    for (var start = 0u; start < rank_quads; start += 8u) {
      var sum = 0.0;
      for (var i = start; i < min(start + 8u, rank_quads); i++) {
        let weight = ${quad("load_up(column * rank_quads + i)")};
        sum = fma(weight.x, inner[4u * i], sum);
        sum = fma(weight.y, inner[4u * i + 1u], sum);
        sum = fma(weight.z, inner[4u * i + 2u], sum);
        sum = fma(weight.w, inner[4u * i + 3u], sum);
      }
      added += sum;
    }
    let at = row * params.D + column;
    store_out(at, load_out(at) + added);
  }
}
`,
    workgroups: ({ R }) => [R, 1, 1],
    cost: ({ R, D, r }) => {
      const weightBytes = (storage === "f32" ? 4 : 2) * R * r * D;
      return {
        flops: 4 * R * r * D,
        bytes: {
          x: 4 * R * r * D,
          rows: 4 * R * LANES,
          down: weightBytes,
          up: weightBytes,
          out: 8 * R * D,
        },
      };
    },
    reference: ({ x, rows, down, up, out }, { R, D, r }) => {
      for (let i = 0; i < R; i++) {
        const own = x.subarray(rows[i] * D, (rows[i] + 1) * D);
        const inner = Array.from({ length: r }, (_, j) => dot(down, j * D, own));
        for (let d = 0; d < D; d++) out[rows[i] * D + d] += dot(up, d * r, inner);
      }
    },
    // As of matrix kernels, twice.
    tolerance: 4e-6,
    probes: [
      { T: 1, R: 1, D: 32, r: 4 },
      { T: 4, R: 2, D: 260, r: 36 },
      { T: 3, R: 3, D: 1120, r: 64 },
    ].map((dims) => lowRankProbe(dims)),
  });
};

const quadWgsl = wgsl`
fn quad_of(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}`;

function dot(matrix: Float32Array, from: number, vector: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += matrix[from + i] * vector[i];
  return sum;
}

export function lowRankProbe(dims: Dims) {
  const { T, R, D, r } = dims as Record<string, number>;
  return {
    dims,
    inputs: (random: () => number) => ({
      x: normal(T * D, random),
      rows: Uint32Array.from({ length: R }, (_, i) => T - 1 - i),
      down: normal(r * D, random, D ** -0.5),
      up: normal(D * r, random, r ** -0.5),
      out: normal(T * D, random),
    }),
  };
}

const kernels = { f32: build("f32"), f16: build("f16") };
