/**
 * Rotary position embedding: the rotation shared by all kernels that rotate, and the unfused kernel.
 * Owns the half-split pairing (dim i with dim i + R/2); the tables come from rope-tables.ts.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { ropeTable } from "./rope-tables.ts";

export const ROPE_LANES = 32;

/**
 * `fn rotate(x, partner, position, d4)`: quad d4 < R/4 of a head, rotated; `partner` is the quad
 * that `rope_partner(d4)` names. Needs `load_rope_table` in vec4 and param R.
 */
export const rotateWgsl = wgsl`
fn rope_partner(d4: u32) -> u32 {
  let half = params.R / 8u;
  return select(d4 - half, d4 + half, d4 < half);
}
fn rotate(x: vec4<f32>, partner: vec4<f32>, position: u32, d4: u32) -> vec4<f32> {
  let half = params.R / 8u;
  let row = position * 2u * half + d4 % half;
  let cosine = load_rope_table(row);
  let sine = select(1.0, -1.0, d4 < half) * load_rope_table(row + half);
  return fma(x, cosine, partner * sine);
}`;

/** The slow twin of `rotate` for all R dims of the head at `from`. */
export function rotateReference(
  x: ArrayLike<number>,
  from: number,
  table: Float32Array,
  position: number,
  R: number,
  emit: (dim: number, value: number) => void,
): void {
  const half = R / 2;
  for (let i = 0; i < half; i++) {
    const cosine = table[position * R + i];
    const sine = table[position * R + half + i];
    emit(i, x[from + i] * cosine - x[from + half + i] * sine);
    emit(half + i, x[from + half + i] * cosine + x[from + i] * sine);
  }
}

/**
 *   x [T,N*H]  positions [T] u32  rope_table [C,R]  → out [T,N*H], dims R and up of each head copied
 *
 * One workgroup per head of a row. N is K for keys. Slow twin of the rotation in `rope_kv_write`.
 * Cost: 4·T·N·(2R + H) bytes: memory-bound.
 * @see Su et al., arXiv:2104.09864; half-split pairing as in Hugging Face transformers.
 */
export const rope: Kernel = defineKernel({
  name: "rope",
  numerics: "rope/half_split",
  bindings: {
    x: read("T,N*H", "vec4<f32>"),
    positions: read("T", "u32"),
    rope_table: read("C,R", "vec4<f32>"),
    out: write("T,N*H", "vec4<f32>"),
  },
  params: { N: "u32", H: "u32", R: "u32" },
  wgsl: wgsl`${rotateWgsl}

var<workgroup> position: u32;

@compute @workgroup_size(${ROPE_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) { position = load_positions(wg.x); }
  workgroupBarrier();
  let quads = params.H / 4u;
  let head = (wg.x * params.N + wg.y) * quads;
  for (var d4 = lid.x; d4 < quads; d4 += ${ROPE_LANES}u) {
    var x = load_x(head + d4);
    if (d4 < params.R / 4u) {
      x = rotate(x, load_x(head + rope_partner(d4)), position, d4);
    }
    store_out(head + d4, x);
  }
}
`,
  workgroups: ({ T, N }) => [T, N, 1],
  cost: ({ T, N, H, R }) => ({
    flops: 3 * T * N * R,
    bytes: {
      x: 4 * T * N * (H + R),
      positions: 4 * T * N,
      rope_table: 8 * T * N * R,
      out: 4 * T * N * H,
    },
  }),
  reference: ({ x, positions, rope_table, out }, { T, N, H, R }) => {
    for (let t = 0; t < T; t++) {
      for (let n = 0; n < N; n++) {
        const head = (t * N + n) * H;
        for (let d = R; d < H; d++) out[head + d] = x[head + d];
        rotateReference(x, head, rope_table, positions[t], R, (d, value) => {
          out[head + d] = value;
        });
      }
    }
  },
  probes: [
    { T: 2, N: 1, H: 32, R: 32, C: 8 },
    { T: 3, N: 2, H: 80, R: 40, C: 70 },
    { T: 1, N: 2, H: 256, R: 256, C: 3 },
    { T: 1, N: 1, H: 64, R: 0, C: 1 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      x: normal(dims.T * dims.N * dims.H, random),
      positions: Uint32Array.from({ length: dims.T }, () => Math.floor(random() * dims.C)),
      rope_table: probeTable(dims.H, dims.R, dims.C),
    }),
  })),
});

/** A real table for probes: cosines that are all random would hide a swapped row. */
export function probeTable(headDim: number, R: number, C: number): Float32Array {
  const type = R === 0 ? "none" : "default";
  return ropeTable({ headDim, base: 1e4, rotaryFactor: R / headDim, scaling: { type } }, C);
}
