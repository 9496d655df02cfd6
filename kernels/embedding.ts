/**
 * Token ids to rows of the embedding matrix. Ids come from the step, or from the slot where the
 * sampler left the last id of a sequence, so a decode step needs nothing from the host.
 */
import { CHUNK } from "./formats/format.ts";
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { directBytes, directPlanesWgsl, packedRead, packedWgsl } from "./packed-matrix.ts";
import { normal } from "./probe.ts";
import { type WeightFormatName, weightFormats } from "./weight-format.ts";

/** Set in an entry of `token_ids` whose low bits name a slot of `last_token`. */
export const FROM_SLOT = 0x80000000;

const LANES = 64;
const built = new Map<string, Kernel>();

/**
 *   token_ids [T] u32  last_token [slots] u32  weight [V,D]  → out [T,D] f32
 *
 * With `scaled`, times the param `scale`: the LM head may share the matrix, so it is not folded in.
 * `weight` may be a shard: rows [first_row, first_row + V) of the matrix; other ids are left alone.
 * Cost: T rows of the packed weight read and 4·T·D bytes written: memory-bound.
 */
export function embedding(format: WeightFormatName, { scaled = false } = {}): Kernel {
  const name = `embedding[${format}]${scaled ? ".scaled" : ""}`;
  const known = built.get(name);
  if (known) return known;
  const weights = weightFormats[format];
  const { pieces } = weights;
  /** Quads of a piece. */
  const quads = 8 / pieces;
  const columns = (D: number) => ceilDiv(D, weights.block.weights) * weights.block.weights;
  const kernel = defineKernel({
    name,
    numerics: `embedding/${scaled ? "scaled" : "exact"}`,
    bindings: {
      token_ids: read("T", "u32"),
      last_token: read("slots", "u32"),
      weight: packedRead("V,D", weights),
      out: write("T,D", "vec4<f32>"),
    },
    params: { D: "u32", V: "u32", first_row: "u32", ...(scaled && { scale: "f32" }) },
    wgsl: wgsl`
${packedWgsl(weights, "params.V", "params.D")}
${directPlanesWgsl(weights)}
${weights.wgsl}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunks = params.D / 32u;
  let piece = (wg.x * ${LANES}u + lid.x) / chunks;
  let chunk = (wg.x * ${LANES}u + lid.x) % chunks;
  if (piece >= ${pieces}u) { return; }
  var id = load_token_ids(wg.y);
  if ((id & ${FROM_SLOT}u) != 0u) { id = load_last_token(id & ${FROM_SLOT - 1}u); }
  if (id < params.first_row || id - params.first_row >= params.V) { return; }
  let row = id - params.first_row;
  var c = open_chunk(row, chunk);
  c.codes = load_weight(piece_at(row, piece, chunk));
  for (var quad = piece * ${quads}u; quad < piece * ${quads}u + ${quads}u; quad++) {
    store_out((wg.y * chunks + chunk) * 8u + quad, take4(&c, quad)${scaled ? " * params.scale" : ""});
  }
}
`,
    workgroups: ({ T, D }) => [ceilDiv((D / CHUNK) * pieces, LANES), T, 1],
    // Exact when every id comes from the step and lies in the shard.
    cost: ({ T, D }) => ({
      flops: scaled ? T * D : 0,
      bytes: {
        token_ids: 4 * T * (D / CHUNK) * pieces,
        last_token: 0,
        weight: T * (D / CHUNK) * directBytes(weights),
        out: 4 * T * D,
      },
    }),
    reference: ({ token_ids, last_token, weight, out }, { T, D, V, first_row, ...dims }) => {
      const scale = scaled ? Math.fround(dims.scale) : 1;
      for (let t = 0; t < T; t++) {
        const entry = token_ids[t];
        const id = (entry >= FROM_SLOT ? last_token[entry - FROM_SLOT] : entry) - first_row;
        if (id < 0 || id >= V) continue;
        for (let d = 0; d < D; d++) out[t * D + d] = weight[id * D + d] * scale;
      }
    },
    tolerance: 0,
    probes: [
      { T: 3, D: columns(64), V: 5, first_row: 0, slots: 2, scale: 55.5 },
      { T: 4, D: columns(288), V: 7, first_row: 3, slots: 1, scale: 0.3 },
    ].map((dims) => ({
      dims,
      inputs: (random) => ({
        token_ids: Uint32Array.from(
          { length: dims.T },
          () => dims.first_row + Math.floor(random() * dims.V),
        ),
        last_token: new Uint32Array(dims.slots).fill(dims.first_row),
        weight: normal(dims.V * dims.D, random),
      }),
    })),
  });
  built.set(name, kernel);
  return kernel;
}
