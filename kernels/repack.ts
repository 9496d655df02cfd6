/**
 * A file's rows of weights to the packed matrix that kernels read, while a model is loaded. Lossless:
 * it moves bits. Rows may land in another order than the file has.
 */
import { CHUNK, type WeightFormat } from "./formats/format.ts";
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import {
  packedBytes,
  packedRowWords,
  packedWgsl,
  packRow,
  planeWords,
  rowBlocks,
} from "./packed-matrix.ts";
import { normal } from "./probe.ts";
import { type WeightFormatName, weightFormats } from "./weight-format.ts";

const LANES = 64;
const built = new Map<string, Kernel>();

/**
 *   blocks [words] u32: rows as a file has them, from_row of them before the first that counts
 *   → out: rows [to_row, to_row + rows) of the packed matrix [N,K]
 *
 * With head_size H > 0 the file's rows alternate between the halves of a head, as llama's do in GGUF:
 * row h·H + 2d + p of a tensor whose row 0 lands at to_row is row h·H + p·H/2 + d; the first row here
 * is then its row first_row. One lane per 16-byte word of the matrix.
 * Cost: the packed rows once, and 8 bytes for each word read: bound by the file, not by this.
 */
export function repack(name: WeightFormatName): Kernel {
  const known = built.get(name);
  if (known) return known;
  const kernel = build(weightFormats[name]);
  built.set(name, kernel);
  return kernel;
}

function build(format: WeightFormat): Kernel {
  const { name, block, pieces, planes } = format;
  const rowBytes = (K: number) => (K / block.weights) * block.bytes;
  const planeBranches = planes.map(
    (plane, p) => wgsl`
  if (rest < plane${p}_stride()) {
    let used = (chunks + ${plane.chunks - 1}u) / ${plane.chunks}u * ${plane.words}u;
    for (var k = 0u; k < 4u; k++) {
      if (rest * 4u + k < used) { out[k] = plane_word(${p}u, rest * 4u + k); }
    }
    store_out(plane${p}_at(row) + rest, out);
    return;
  }
  rest -= plane${p}_stride();`,
  );
  return defineKernel({
    name: `repack[${name}]`,
    numerics: "repack/exact",
    bindings: {
      blocks: read("words", "u32"),
      out: write("out_words", "vec4<u32>", "u32"),
    },
    params: {
      ...{ N: "u32", K: "u32", rows: "u32", words: "u32" },
      ...{ from_row: "u32", first_row: "u32", to_row: "u32", head_size: "u32" },
    },
    wgsl: wgsl`
${packedWgsl(format, "params.N", "params.K")}
var<private> row_start: u32;

/** Halfwords i and i + 1 of the row. */
fn word_at(i: u32) -> u32 {
  let at = row_start + i;
  let low = load_blocks(min(at / 2u, params.words - 1u));
  let high = load_blocks(min(at / 2u + 1u, params.words - 1u));
  return select(low, (low >> 16u) | (high << 16u), (at & 1u) != 0u);
}
${format.repackWgsl}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunks = params.K / ${CHUNK}u;
  var rest = wg.x * ${LANES}u + lid.x;
  // A dimension of the grid has at most 65,535 workgroups.
  let local_row = wg.y + wg.z * 32768u;
  if (local_row >= params.rows) { return; }
  row_start = (params.from_row + local_row) * (params.K / ${block.weights}u * ${block.bytes / 2}u);
  var row = params.first_row + local_row;
  if (params.head_size > 0u) {
    let d = row % params.head_size;
    row += d / 2u + (d & 1u) * (params.head_size / 2u) - d;
  }
  row += params.to_row;
  var out = vec4<u32>();
  if (rest < ${pieces}u * chunks) {
    let piece = rest / chunks;
    let chunk = rest % chunks;
    for (var k = 0u; k < 4u; k++) { out[k] = code_word(chunk, piece * 4u + k); }
    store_out(piece_at(row, piece, chunk), out);
    return;
  }
  rest -= ${pieces}u * chunks;
  ${planeBranches.join("\n")}
}
`,
    workgroups: ({ K, rows }) => [
      ceilDiv(packedRowWords(format, K), LANES),
      Math.min(rows, 32768),
      ceilDiv(rows, 32768),
    ],
    cost: ({ K, rows }) => {
      const reads = planes.reduce(
        (sum, plane, p) => sum + planeWords(plane, K) * format.repackReads.planes[p],
        4 * pieces * (K / CHUNK) * format.repackReads.code,
      );
      return { flops: 0, bytes: { blocks: 8 * rows * reads, out: packedBytes(format, rows, K) } };
    },
    reference: ({ blocks, out }, dims) => {
      const { N, K, rows, from_row, first_row, to_row, head_size: H } = dims;
      const bytes = new Uint8Array(blocks.buffer, blocks.byteOffset, blocks.byteLength);
      const words = new Uint32Array(out.buffer, out.byteOffset, out.byteLength / 4);
      for (let local = 0; local < rows; local++) {
        const start = (from_row + local) * rowBytes(K);
        const source = rowBlocks(bytes.subarray(start, start + rowBytes(K)), K / CHUNK);
        const row = first_row + local;
        const d = H > 0 ? row % H : 0;
        const moved = row - d + (d >> 1) + (d & 1) * (H / 2);
        packRow(format, source, { rows: N, columns: K, at: to_row + moved }, words);
      }
    },
    tolerance: 0,
    probes: [
      { N: 5, K: 32, rows: 2, from_row: 1, first_row: 0, to_row: 3, head_size: 0 },
      { N: 9, K: 96, rows: 8, from_row: 0, first_row: 0, to_row: 1, head_size: 8 },
      { N: 4, K: 1056, rows: 3, from_row: 0, first_row: 1, to_row: 0, head_size: 0 },
    ].map(({ K: wanted, ...sizes }) => {
      const K = ceilDiv(wanted, block.weights) * block.weights;
      const numRows = sizes.from_row + sizes.rows;
      const words = ceilDiv(numRows * rowBytes(K), 4);
      return {
        dims: { ...sizes, K, words, out_words: packedBytes(format, sizes.N, K) / 4 },
        inputs: (random) => {
          const blocks = new Uint8Array(4 * words);
          for (let row = 0; row < numRows; row++) {
            blocks.set(format.encode(normal(K, random)), row * rowBytes(K));
          }
          return { blocks: new Uint32Array(blocks.buffer) };
        },
      };
    }),
  });
}
