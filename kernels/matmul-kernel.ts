/**
 * Matrix kernels: out = x · weightᵀ, composed from format × shape × prologue × epilogue. Shapes and
 * formats are one numeric class, so a row's bits never depend on the batch around it. The shapes that
 * round x to int8 are another, as strict; those of matmul-any-order.ts alone are in none.
 */
import {
  addsToResidual,
  type Epilogue,
  epilogueBindings,
  epilogueBytes,
  epilogueFlops,
  epilogueName,
  epilogueParams,
  epilogueWgsl,
  finishReference,
  rowsPerOutput,
  takesOctets,
} from "./epilogue.ts";
import { KernelError } from "./errors.ts";
import { expertProbes } from "./expert-probes.ts";
import { roundToInt8, steadied } from "./int8-activations.ts";
import { ceilDiv, defineKernel, type Kernel, type Probe, read } from "./kernel.ts";
import {
  type MatmulRows,
  rowsBindings,
  rowsBytes,
  rowsParams,
  rowsReference,
  rowsWgsl,
  weightRowsWgsl,
} from "./matmul-rows.ts";
import type { MatmulShape, MatmulWeights } from "./matmul-shape.ts";
import { packedRead, packedWgsl } from "./packed-matrix.ts";
import { normal, uniform } from "./probe.ts";
import {
  type Prologue,
  prologueBindings,
  prologueBytes,
  prologueParams,
  prologueReference,
  prologueWgsl,
} from "./prologue.ts";
import { ropeKvProbes } from "./rope-kv-epilogue.ts";
import { type WeightFormatName, weightFormats } from "./weight-format.ts";

export interface MatmulComposition {
  readonly format: WeightFormatName;
  readonly shape: MatmulShape;
  /** Default `none`. */
  readonly prologue?: Prologue;
  readonly epilogue: Epilogue;
  /** Default `all`; others multiply by a stack of experts. */
  readonly rows?: MatmulRows;
}

const built = new Map<string, Kernel>();

/**
 *   x [T,K]  weight [rows,K]  norm_weight? [K]  bias? → out [T,out_stride] at column out_offset
 *
 * The weight is packed (packed-matrix.ts); rows = N, or 2·N when the epilogue gates. Sums: K in chunks of 32, fma ascending inside a chunk,
 * chunk sums added ascending. K must be a multiple of 32.
 * Cost: the weight once per row block, so one row of f16 is about 1 flop per byte.
 * Int8 shapes round x first (int8-activations.ts); a chunk's sum of integers is exact, `fma` multiplies it
 * by the product of both scales and adds it, chunks ascending.
 * Of a stack of experts (matmul-rows.ts) T counts slots, x has x_rows rows, and the weight and the bias
 * hold the experts' rows one below the other; slots of other experts than the stack's stay as they were.
 * @throws {KernelError} `bad_kernel`: a shape that cannot have the prologue, the format or the rows.
 */
export function matmulKernel(composition: MatmulComposition): Kernel {
  const { format, shape: cut, prologue = "none", epilogue, rows = "all" } = composition;
  const special = [prologue === "none" ? [] : [prologue], rows === "all" ? [] : [rows]].flat();
  const operands = [format, ...special].join();
  const name = `matmul.${cut.name}[${operands}].${epilogueName(epilogue)}`;
  const known = built.get(name);
  if (known) return known;
  const perOutput = rowsPerOutput(epilogue);
  const octets = takesOctets(epilogue);
  const weights: MatmulWeights = {
    format: weightFormats[format],
    rowsPerOutput: perOutput,
    octets,
    rows,
  };
  if (!cut.prologues.includes(prologue)) {
    throw new KernelError(
      "bad_kernel",
      `${name}: this shape has the prologues ${cut.prologues.join(", ")}; run ${prologue} before it`,
    );
  }
  if (octets && !cut.hasOctets) {
    throw new KernelError(
      "bad_kernel",
      `${name}: a workgroup of this shape lacks the other half of a rotation; run rope_kv_write after it`,
    );
  }
  const isInt8 = cut.activations === "i8";
  if (isInt8 && !weights.format.integer) {
    throw new KernelError(
      "bad_kernel",
      `${name}: weights in ${format} have no integer codes; choose a shape that multiplies f32`,
    );
  }
  if (rows !== "all" && (isInt8 || octets || (rows === "slots" && cut.rowsPerGroup > 1))) {
    throw new KernelError(
      "bad_kernel",
      `${name}: this shape does not multiply by experts; choose one for f32 rows, for slots one of one row`,
    );
  }
  const sums = isInt8 ? "int8" : cut.anyOrder ? "any" : "chunk32";
  const columns = (K: number) => wholeBlocks(weights, K);
  const probes =
    rows !== "all"
      ? expertProbes(rows, cut.rowsPerGroup, columns, prologue, epilogue)
      : octets
        ? ropeKvProbes(cut.maxRows, columns)
        : matmulProbes(cut, weights, prologue, epilogue);
  const kernel = defineKernel({
    name,
    numerics: `matmul/${sums}/${special.join("/") || "none"}/${epilogueName(epilogue)}`,
    bindings: {
      x: read(rows === "all" ? "T,K" : "x_rows,K", "vec4<f32>"),
      weight: packedRead(`${rows === "all" ? "" : "experts*"}${perOutput}*N,K`, weights.format),
      ...rowsBindings(rows),
      ...prologueBindings(prologue),
      ...epilogueBindings(epilogue, rows),
    },
    params: {
      ...{ T: "u32", N: "u32", K: "u32", out_stride: "u32", out_offset: "u32" },
      ...rowsParams(rows),
      ...prologueParams(prologue),
      ...epilogueParams(epilogue),
    },
    features: cut.features,
    wgsl: [
      packedWgsl(weights.format, weightRowsWgsl(rows, perOutput), "params.K"),
      weights.format.wgsl,
      rowsWgsl(rows, cut.rowsPerGroup, perOutput),
      prologueWgsl(prologue, cut.rowsPerGroup),
      epilogueWgsl(epilogue),
      cut.wgsl(weights),
    ].join("\n"),
    workgroups: (dims) => cut.workgroups(dims, weights),
    cost: (dims) => {
      const { N, K } = dims;
      const T = dims.own_slots ?? dims.T;
      const loads = cut.loads({ ...dims, T }, weights);
      const [outputGroups] = cut.workgroups(dims, weights);
      return {
        flops: 2 * perOutput * T * N * K + epilogueFlops(epilogue, { ...dims, T }),
        bytes: {
          ...prologueBytes(prologue, loads.x, outputGroups, { T, K }),
          weight: loads.weightBytes,
          ...rowsBytes(rows, cut.lanes * outputGroups, outputGroups, dims),
          ...epilogueBytes(epilogue, { ...dims, T }),
        },
      };
    },
    reference: (io, dims) => {
      const { T, N, K, eps } = dims;
      const x_rows = dims.x_rows ?? T;
      const given = prologueReference(prologue, io as never, { T: x_rows, K, eps });
      const x = isInt8 ? roundToInt8(given.subarray(0, x_rows * K)) : given;
      const sums = new Float64Array(perOutput * N);
      for (const { from, to, expert } of rowsReference(rows, io, dims)) {
        const first = expert * sums.length;
        for (let n = 0; n < sums.length; n++) {
          sums[n] = dot(x, from * K, io.weight, (first + n) * K, K);
        }
        const firstBias = ((dims.first_expert ?? 0) + expert) * sums.length;
        finishReference(epilogue, io, to, sums, dims, firstBias);
      }
    },
    // f32 sums of K products against float64 sums; the measured worst is below 1e-6.
    // A gated output is a product of two of them: the largest, at 8 RMS, carry as much more.
    // One long sum carries more rounding than sums of chunks: six times as much was measured.
    tolerance: (perOutput === 2 ? 8e-6 : 4e-6) * (cut.anyOrder ? 8 : 1),
    probes: isInt8 && prologue === "norm" ? probes.map(steadied) : probes,
  });
  built.set(name, kernel);
  return kernel;
}

/** @throws {KernelError} `bad_shape`: the chunked sum has no tail. */
export function requireChunkedColumns(name: string, K: number): void {
  if (K % 32 === 0) return;
  throw new KernelError(
    "bad_shape",
    `matrix ${name} has ${K} columns, the kernels need a multiple of 32; this model is not supported`,
  );
}

function dot(x: Float32Array, xAt: number, w: Float32Array, wAt: number, K: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let k = 0; k < K; k += 4) {
    a += x[xAt + k] * w[wAt + k];
    b += x[xAt + k + 1] * w[wAt + k + 1];
    c += x[xAt + k + 2] * w[wAt + k + 2];
    d += x[xAt + k + 3] * w[wAt + k + 3];
  }
  return a + b + (c + d);
}

const wholeBlocks = ({ format: { block } }: MatmulWeights, columns: number): number =>
  ceilDiv(columns, block.weights) * block.weights;

function matmulProbes(
  shape: MatmulShape,
  weights: MatmulWeights,
  prologue: Prologue,
  epilogue: Epilogue,
): Probe[] {
  const T = Math.min(shape.maxRows, shape.maxRows > 16 ? Math.max(33, shape.rowsPerGroup + 1) : 5);
  const perOutput = weights.rowsPerOutput;
  const columns = (K: number) => wholeBlocks(weights, K);
  return [
    { T: 1, N: 8, K: columns(32), out_stride: 8, out_offset: 0 },
    { T, N: 35, K: columns(96), out_stride: 35, out_offset: 0 },
    { T, N: 17, K: columns(1056), out_stride: 17, out_offset: 0 },
  ].map((sizes) => ({
    dims: { ...sizes, eps: 1e-5, scale: 0.25 },
    inputs: (random) => ({
      x: normal(sizes.T * sizes.K, random),
      weight: normal(perOutput * sizes.N * sizes.K, random, 1 / Math.sqrt(sizes.K)),
      ...(prologue === "norm" && { norm_weight: uniform(sizes.K, 0.5, 1.5, random) }),
      ...(epilogue.bias && { bias: normal(perOutput * sizes.N, random) }),
      ...(addsToResidual(epilogue) && { out: normal(sizes.T * sizes.N, random) }),
    }),
  }));
}
