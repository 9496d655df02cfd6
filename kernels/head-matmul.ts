/**
 * A matrix per head: what carries queries into the latent of multi-head latent attention, and its output
 * from there to values. Both read one weight as the checkpoint has it, so either product is of some of its
 * rows, and one of them is transposed. One kernel for any number of rows each, so a row has one result.
 */
import { ceilDiv, type Dims, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { directPlanesWgsl, packedRead, packedWgsl } from "./packed-matrix.ts";
import { normal } from "./probe.ts";
import { type WeightFormatName, weightFormats } from "./weight-format.ts";

/** `rows`: sums over columns of the weight, as a matrix kernel. `columns`: over its rows. */
export type HeadSide = "rows" | "columns";

const LANES = 64;
/** Lanes along the columns, for sums over them. */
const CHUNK_LANES = 16;
/** Rows of x that share one read of the weight. */
const ROWS = 4;

/**
 *   x [T,N*x_head]  weight [N*head_rows,L]  → out [T,N*out_head]
 *
 *   rows:     out[t,n,d] = Σ_l x[t,n,l] · weight[n·head_rows + first_row + d, l]   d < D, l < L
 *   columns:  out[t,n,l] = Σ_d x[t,n,d] · weight[n·head_rows + first_row + d, l]
 *
 * Of each head of out the first D, or L, are written. Sums: in chunks of 32, fma ascending inside a chunk
 * from 0, chunk sums added ascending from 0, as matrix kernels have them. L is a multiple of 32, D of 4.
 * Cost: N·D rows of the weight once per block of rows of x; for `rows`, x once per output.
 * @see absorbed projections: DeepSeek-V2, arXiv:2405.04434 §2.1.2.
 */
export function headMatmul(format: WeightFormatName, side: HeadSide): Kernel {
  const name = `head_matmul[${format}].${side}`;
  const kernel = built.get(name) ?? build(name, format, side);
  built.set(name, kernel);
  return kernel;
}

const built = new Map<string, Kernel>();

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function build(name: string, formatName: WeightFormatName, side: HeadSide): Kernel {
  const format = weightFormats[formatName];
  const { pieces } = format;
  const ofColumns = side === "columns";
  // A lane has eight quads of sums: of a piece's columns, for as many rows.
  const rows = ofColumns ? pieces : ROWS;
  return defineKernel({
    name,
    numerics: `head_matmul/chunk32/${side}`,
    bindings: {
      x: read("T,N*x_head", "vec4<f32>"),
      weight: packedRead("N*head_rows,L", format),
      out: ofColumns ? write("T,N*out_head", "vec4<f32>") : write("T,N*out_head"),
    },
    params: {
      ...{ T: "u32", N: "u32", D: "u32", L: "u32", head_rows: "u32", first_row: "u32" },
      ...{ x_head: "u32", out_head: "u32" },
    },
    wgsl: [
      packedWgsl(format, "(params.N * params.head_rows)", "params.L"),
      directPlanesWgsl(format),
      format.wgsl,
      ofColumns ? columnsWgsl(pieces) : rowsWgsl(pieces),
    ].join("\n"),
    workgroups: ({ T, N, D, L }) => [
      ofColumns ? ceilDiv((N * L * pieces) / 32, LANES) : ceilDiv(N * D, LANES / CHUNK_LANES),
      ceilDiv(T, rows),
      1,
    ],
    cost: ({ T, N, D, L }) => {
      const groups = ceilDiv(T, rows);
      const chunks = L / 32;
      const lines = ceilDiv(N * D, LANES / CHUNK_LANES) * (LANES / CHUNK_LANES);
      return {
        flops: 2 * T * N * D * L,
        bytes: {
          x: ofColumns ? 4 * T * N * D * chunks * pieces : 4 * T * lines * L,
          weight: ofColumns
            ? 16 * groups * N * D * chunks * pieces * (1 + format.fieldReads)
            : 16 * groups * lines * chunks * (pieces + format.fieldReads),
          out: 4 * T * N * (ofColumns ? L : D),
        },
      };
    },
    reference: ({ x, weight, out }, dims) => {
      const { T, N, D, L, head_rows, first_row, x_head, out_head } = dims as Record<string, number>;
      for (let t = 0; t < T; t++) {
        for (let n = 0; n < N; n++) {
          const from = (t * N + n) * x_head;
          const to = (t * N + n) * out_head;
          const first = (n * head_rows + first_row) * L;
          const sums = new Float64Array(ofColumns ? L : D);
          for (let d = 0; d < D; d++) {
            const row = first + d * L;
            for (let l = 0; l < L; l++) {
              if (ofColumns) sums[l] += x[from + d] * weight[row + l];
              else sums[d] += x[from + l] * weight[row + l];
            }
          }
          out.set(sums, to);
        }
      }
    },
    // As of matrix kernels.
    tolerance: 4e-6,
    probes: [
      { T: 1, N: 1, D: 32, L: 32, head_rows: 40, first_row: 8, x_head: 36, out_head: 32 },
      { T: 5, N: 3, D: 36, L: 288, head_rows: 76, first_row: 40, x_head: 288, out_head: 300 },
      { T: 9, N: 2, D: 68, L: 512, head_rows: 68, first_row: 0, x_head: 512, out_head: 512 },
    ].map((sizes) => headMatmulProbe(formatName, sizes)),
  });
}

/** Each lane has the columns of one piece, in all rows of the head: neighbours read neighbouring pieces. */
function columnsWgsl(pieces: number): string {
  const quads = 8 / pieces;
  const sums = (sum: string) =>
    indices(pieces).flatMap((r) => indices(quads).map((q) => `${sum}${r}_${q}`));
  const lines = sums("sum");
  return wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let chunks = params.L / 32u;
  let head = id.x / (chunks * ${pieces}u);
  if (head >= params.N) { return; }
  let chunk = id.x % chunks;
  let piece = id.x / chunks % ${pieces}u;
  let first = id.y * ${pieces}u;
  let weight_row = head * params.head_rows + params.first_row;
  ${indices(pieces)
    .map(
      (r) =>
        `let x${r} = (min(first + ${r}u, params.T - 1u) * params.N + head) * params.x_head / 4u;`,
    )
    .join(" ")}
  ${lines.map((sum) => `var ${sum} = vec4<f32>();`).join(" ")}
  for (var start = 0u; start < params.D; start += 32u) {
    ${sums("c")
      .map((sum) => `var ${sum} = vec4<f32>();`)
      .join(" ")}
    for (var d = start; d < min(start + 32u, params.D); d += 4u) {
      ${indices(pieces)
        .map(
          (r) =>
            `var v${r} = vec4<f32>(); if (first + ${r}u < params.T) { v${r} = load_x(x${r} + d / 4u); }`,
        )
        .join(" ")}
      for (var k = 0u; k < 4u; k++) {
        var codes = open_chunk(weight_row + d + k, chunk);
        codes.codes = load_weight(piece_at(weight_row + d + k, piece, chunk));
        ${indices(quads)
          .map(
            (q) => wgsl`let w${q} = take4(&codes, piece * ${quads}u + ${q}u);
        ${indices(pieces)
          .map((r) => `c${r}_${q} = fma(w${q}, vec4<f32>(v${r}[k]), c${r}_${q});`)
          .join(" ")}`,
          )
          .join("\n        ")}
      }
    }
    ${lines.map((sum) => `${sum} += ${sum.replace("sum", "c")};`).join(" ")}
  }
  let to = head * params.out_head / 4u + chunk * 8u + piece * ${quads}u;
  ${indices(pieces)
    .map(
      (r) => wgsl`if (first + ${r}u < params.T) {
    let at = (first + ${r}u) * params.N * params.out_head / 4u + to;
    ${indices(quads)
      .map((q) => `store_out(at + ${q}u, sum${r}_${q});`)
      .join(" ")}
  }`,
    )
    .join("\n  ")}
}`;
}

/** Lanes take chunks of a row of the weight; their sums meet in workgroup memory. */
function rowsWgsl(pieces: number): string {
  const quads = 8 / pieces;
  const lines = LANES / CHUNK_LANES;
  const each = (line: (r: number) => string) => indices(ROWS).map(line).join(" ");
  return wgsl`
var<workgroup> chunk_sums: array<f32, ${LANES * ROWS}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunks = params.L / 32u;
  let outputs = params.N * params.D;
  // An output beyond the last is the last again: what comes of it is not stored.
  let line = min(wg.x * ${lines}u + lid.x / ${CHUNK_LANES}u, outputs - 1u);
  let head = line / params.D;
  let weight_row = head * params.head_rows + params.first_row + line % params.D;
  let first = wg.y * ${ROWS}u;
  ${each((r) => `let x${r} = (min(first + ${r}u, params.T - 1u) * params.N + head) * params.x_head / 4u;`)}
  var total = 0.0;
  for (var base = 0u; base < chunks; base += ${CHUNK_LANES}u) {
    let chunk = base + lid.x % ${CHUNK_LANES}u;
    ${each((r) => `var sum${r} = 0.0;`)}
    if (chunk < chunks) {
      var codes = open_chunk(weight_row, chunk);
      // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
      for (var column = chunk * 8u; column < chunk * 8u + 8u; column++) {
        if (column % ${quads}u == 0u) {
          codes.codes = load_weight(piece_at(weight_row, column % 8u / ${quads}u, chunk));
        }
        let w = take4(&codes, column % 8u);
        ${each(
          (r) => wgsl`if (first + ${r}u < params.T) {
          let v = load_x(x${r} + column);
          sum${r} = fma(w.x, v.x, sum${r});
          sum${r} = fma(w.y, v.y, sum${r});
          sum${r} = fma(w.z, v.z, sum${r});
          sum${r} = fma(w.w, v.w, sum${r});
        }`,
        )}
      }
    }
    ${each((r) => `chunk_sums[(lid.x / ${CHUNK_LANES}u * ${ROWS}u + ${r}u) * ${CHUNK_LANES}u + lid.x % ${CHUNK_LANES}u] = sum${r};`)}
    workgroupBarrier();
    if (lid.x < ${lines * ROWS}u) {
      let own = lid.x * ${CHUNK_LANES}u;
      for (var c = own; c < own + min(${CHUNK_LANES}u, chunks - base); c++) { total += chunk_sums[c]; }
    }
    workgroupBarrier();
  }
  let row = first + lid.x % ${ROWS}u;
  let output = wg.x * ${lines}u + lid.x / ${ROWS}u;
  if (lid.x < ${lines * ROWS}u && row < params.T && output < outputs) {
    store_out((row * params.N + output / params.D) * params.out_head + output % params.D, total);
  }
}`;
}

export function headMatmulProbe(format: WeightFormatName, sizes: Dims) {
  // Of formats with larger blocks than a chunk.
  const { weights } = weightFormats[format].block;
  const L = ceilDiv(sizes.L, weights) * weights;
  const dims = {
    ...sizes,
    L,
    x_head: Math.max(sizes.x_head, L),
    out_head: Math.max(sizes.out_head, L),
  };
  const { T, N, head_rows } = dims as Record<string, number>;
  return {
    dims,
    inputs: (random: () => number) => ({
      x: normal(T * N * dims.x_head, random),
      weight: normal(N * head_rows * L, random, 1 / Math.sqrt(L)),
    }),
  };
}
