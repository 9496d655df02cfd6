/**
 * The epilogue of the QKV matrix where a workgroup holds both halves of what a rotation mixes: bias,
 * RoPE, then q to its rows and K and V to the cache. Rounds nowhere else than the matrix followed by
 * `rope_kv_write`, which serves all other rows, int8 caches and models with QK-norm.
 */
import { type Binding, type Dims, type Probe, read, type Views, wgsl, write } from "./kernel.ts";
import { kvPoolWrite, kvRowBytes } from "./kv-layout.ts";
import { OCTET } from "./octets.ts";
import { normal, uniform } from "./probe.ts";
import { probeTable } from "./rope.ts";
import { placeHeadReference, placeQuadWgsl, probePlaces } from "./rope-kv-write.ts";

/** By the cache's storage. An int8 row needs the whole head for its scale, so it is not among them. */
export type RopeKvTail = "rope_kv_f32" | "rope_kv_f16";

/** Of a QKV matrix. */
export interface RotatingEpilogue {
  readonly bias: boolean;
  readonly tail: RopeKvTail;
}

export const isRopeKv = (tail: string): tail is RopeKvTail => tail.startsWith("rope_kv");
export const storageOf = (tail: RopeKvTail): "f32" | "f16" =>
  tail === "rope_kv_f32" ? "f32" : "f16";

export const ropeKvBindings = (tail: RopeKvTail, bias: boolean): Record<string, Binding> => ({
  ...(bias && { bias: read("out_stride", "vec4<f32>") }),
  token_places: read("T,2", "vec2<u32>"),
  rope_table: read("C,R", "vec4<f32>"),
  q: write("T,heads*H", "vec4<f32>"),
  kv_pool: kvPoolWrite(storageOf(tail), "P,2,kv_heads,B,H"),
});

/** Query heads, KV heads, and B, H and R as `rope_kv_write` has them. */
export const ropeKvParams = {
  heads: "u32",
  kv_heads: "u32",
  B: "u32",
  H: "u32",
  R: "u32",
} as const;

/**
 * `fn weight_row(output)`: the n-th group of eight outputs of a head is two quads of dims, d4 = n and
 * n + R/8 where they rotate, else 2n and 2n + 1; `fn finish(row, output, low, high)` takes their sums.
 * Matrices begin and end on whole heads, H is a multiple of 8.
 */
export const ropeKvWgsl = (tail: RopeKvTail, bias: boolean): string => {
  const heads = { heads: "params.heads", kvHeads: "params.kv_heads" };
  const biased = (sum: string, d4: string) =>
    bias ? `${sum} + load_bias(head * (params.H / 4u) + ${d4})` : sum;
  return wgsl`${placeQuadWgsl(storageOf(tail), 1, heads)}

/** The two quads of an octet, n-th of its head. */
fn octet_quads(head: u32, n: u32) -> vec2<u32> {
  let pairs = rotary_quads(head) / 2u;
  return select(vec2<u32>(2u * n, 2u * n + 1u), vec2<u32>(n, n + pairs), n < pairs);
}
fn weight_row(output: u32) -> u32 {
  let head = output / params.H;
  let quads = octet_quads(head + params.out_offset / params.H, output % params.H / ${OCTET}u);
  return head * params.H + 4u * quads[output / 4u % 2u] + output % 4u;
}
fn finish(row: u32, output: u32, low: vec4<f32>, high: vec4<f32>) {
  let head = (params.out_offset + output) / params.H;
  let quads = octet_quads(head, output % params.H / ${OCTET}u);
  let x = ${biased("low", "quads.x")};
  let partner = ${biased("high", "quads.y")};
  let place = load_token_places(row);
  place_quad(row, head, quads.x, x, partner, place);
  place_quad(row, head, quads.y, partner, x, place);
}`;
};

/** Heads of q, k and v among the matrix's rows. */
function headsOf({ N, H, out_offset, heads, kv_heads }: Dims) {
  const from = out_offset / H;
  const to = (out_offset + N) / H;
  const within = (first: number, count: number) =>
    Math.max(0, Math.min(to, first + count) - Math.max(from, first));
  return {
    q: within(0, heads),
    k: within(heads, kv_heads),
    v: within(heads + kv_heads, kv_heads),
  };
}

export const ropeKvFlops = (dims: Dims): number => {
  const { q, k } = headsOf(dims);
  return 3 * dims.T * (q + k) * dims.R;
};

/** Bytes that `finish` moves. */
export function ropeKvBytes(tail: RopeKvTail, bias: boolean, dims: Dims): Record<string, number> {
  const { T, N, H, R } = dims;
  const { q, k, v } = headsOf(dims);
  return {
    ...(bias && { bias: 4 * T * N }),
    token_places: (8 * T * N) / OCTET,
    rope_table: 8 * T * (q + k) * R,
    q: 4 * T * q * H,
    kv_pool: T * (k + v) * kvRowBytes(storageOf(tail), H),
  };
}

/** The slow twin of `finish`, for a row of sums in the weight's order. */
export function ropeKvReference(io: Views, row: number, sums: Float64Array, dims: Dims): void {
  const { H, out_offset, heads: N, kv_heads: K, B, R } = dims;
  const x = Float32Array.from(sums, (sum, n) => sum + (io.bias ? io.bias[out_offset + n] : 0));
  for (let at = 0; at < x.length; at += H) {
    const head = (out_offset + at) / H;
    placeHeadReference(x.subarray(at, at + H), row, head, io, { N, K, B, H, R });
  }
}

/**
 * A whole matrix; one whose heads rotate in part; one that holds q and k only, of layers without RoPE.
 * @param columns The next size that the format has.
 */
export const ropeKvProbes = (maxRows: number, columns: (K: number) => number): readonly Probe[] =>
  [
    { T: 1, heads: 1, kv_heads: 1, N: 96, out_offset: 0, H: 32, R: 32, K: 32, B: 16 },
    { T: 5, heads: 2, kv_heads: 1, N: 320, out_offset: 0, H: 80, R: 40, K: 96, B: 32 },
    { T: 2, heads: 2, kv_heads: 1, N: 128, out_offset: 64, H: 64, R: 0, K: 1056, B: 16 },
  ].map((sizes) => {
    const T = Math.min(maxRows, sizes.T);
    const out_stride = (sizes.heads + 2 * sizes.kv_heads) * sizes.H;
    const dims = { ...sizes, T, K: columns(sizes.K), out_stride, P: 4, C: 40, eps: 1e-5 };
    return {
      dims,
      inputs: (random) => ({
        x: normal(T * dims.K, random),
        weight: normal(dims.N * dims.K, random, 1 / Math.sqrt(dims.K)),
        norm_weight: uniform(dims.K, 0.5, 1.5, random),
        bias: normal(out_stride, random),
        token_places: probePlaces(dims, random),
        rope_table: probeTable(dims.H, dims.R, dims.C),
      }),
    };
  });
