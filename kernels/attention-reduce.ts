/**
 * Merges the partial results of split decode, tiles ascending, and normalises.
 * The merge itself is shared with prefill (attention-tile.ts).
 */
import { attentionProbes } from "./attention-probes.ts";
import { mergeReference } from "./attention-reference.ts";
import { mergeWgsl } from "./attention-tile.ts";
import { HEAD_QUAD } from "./attention-work.ts";
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";

const LANES = 64;

/** Heads that the last quad lacks read a sink that exists, for a result that is not stored. */
const addSinks = wgsl`let last_head = params.N - 1u;
  let with_sinks = merge_sink(m, l, vec4<f32>(
    load_sinks(head),
    load_sinks(min(head + 1u, last_head)),
    load_sinks(min(head + 2u, last_head)),
    load_sinks(min(head + 3u, last_head)),
  ));
  l = with_sinks.l;
  o = merge_output(o, vec4<f32>(), with_sinks);`;

/**
 *   partials [W,J,Z,4]  decode_rows [U,3] u32: row, first tile, number of tiles  → out [T,N*H]
 *
 * One lane per dim of four query heads. Only the rows named are written. The variant with sinks reads
 * sinks [N], a score per head that joins the sum that weights are divided by.
 * Cost: 48 bytes per tile, quad and dim: memory-bound, and small beside the decode itself.
 * @see merging of (max, sum, output): Milakov and Gimelshein, arXiv:1805.02867.
 */
const build = (sinks: boolean): Kernel =>
  defineKernel({
    name: `attention_reduce${sinks ? ".sinks" : ""}`,
    numerics: `attention/tile64${sinks ? "/sinks" : ""}`,
    bindings: {
      partials: read("W,J,Z,4", "vec4<f32>"),
      decode_rows: read("U,3", "u32"),
      ...(sinks && { sinks: read("N") }),
      out: write("T,N*H"),
    },
    params: { N: "u32", K: "u32", H: "u32" },
    wgsl: wgsl`
${mergeWgsl}

var<workgroup> work: vec3<u32>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) {
    let entry = wg.x * 3u;
    work = vec3<u32>(
      load_decode_rows(entry),
      load_decode_rows(entry + 1u),
      load_decode_rows(entry + 2u),
    );
  }
  workgroupBarrier();
  let d = wg.z * ${LANES}u + lid.x;
  if (d >= params.H) { return; }
  let group = params.N / params.K;
  let group_quads = (group + 3u) / 4u;
  let num_quads = params.K * group_quads;

  var m = vec4<f32>();
  var l = vec4<f32>();
  var o = vec4<f32>();
  for (var tile = work.y; tile < work.y + work.z; tile++) {
    let at = (tile * num_quads + wg.y) * (params.H + 2u);
    let scales = merge_scales(m, l, load_partials(at), load_partials(at + 1u));
    o = merge_output(o, load_partials(at + 2u + d), scales);
    m = scales.m;
    l = scales.l;
  }
  let first_head = wg.y % group_quads * 4u;
  let head = wg.y / group_quads * group + first_head;
  ${sinks ? addSinks : ""}
  let result = attention_output(o, l);
  let at = (work.x * params.N + head) * params.H + d;
  store_out(at, result.x);
  if (first_head + 1u < group) { store_out(at + params.H, result.y); }
  if (first_head + 2u < group) { store_out(at + 2u * params.H, result.z); }
  if (first_head + 3u < group) { store_out(at + 3u * params.H, result.w); }
}
`,
    workgroups: ({ U, J, H }) => [U, J, ceilDiv(H, LANES)],
    cost: ({ U, W, N, J, H }) => ({
      flops: 12 * W * J * H,
      bytes: {
        partials: 48 * W * J * H,
        decode_rows: 12 * U * J * ceilDiv(H, LANES),
        ...(sinks && { sinks: 16 * U * J * H }),
        out: 4 * U * N * H,
      },
    }),
    reference: ({ partials, decode_rows, sinks: ofHeads, out }, dims) => {
      const { U, N, K, H, J } = dims as Record<string, number>;
      const group = N / K;
      const groupQuads = Math.ceil(group / HEAD_QUAD);
      const tileStride = J * (H + 2) * 4;
      for (let u = 0; u < U; u++) {
        const [row, firstTile, numTiles] = decode_rows.subarray(3 * u, 3 * u + 3);
        for (let n = 0; n < N; n++) {
          const quad = Math.floor(n / group) * groupQuads + Math.floor((n % group) / HEAD_QUAD);
          const first = firstTile * tileStride + quad * (H + 2) * 4 + ((n % group) % HEAD_QUAD);
          const tiles = { values: partials, first, stride: 4, tileStride };
          mergeReference(tiles, numTiles, H, out, (row * N + n) * H, ofHeads?.[n]);
        }
      }
    },
    tolerance: 3e-5,
    probes: attentionProbes("decode"),
  });

export const attentionReduce: Kernel = build(false);
export const attentionReduceWithSinks: Kernel = build(true);
