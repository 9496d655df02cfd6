/**
 * Matrix kernels: out = x · weightᵀ with an epilogue, composed from format × shape × epilogue.
 * All shapes and formats are one numeric class, so a row's bits never depend on the batch around it.
 */
import {
  type Epilogue,
  epilogueBindings,
  epilogueBytes,
  epilogueName,
  epilogueWgsl,
  finishReference,
  rowsPerOutput,
} from "./epilogue.ts";
import { KernelError } from "./errors.ts";
import { defineKernel, type Kernel, read } from "./kernel.ts";
import { matvecShape, smallMShape } from "./matmul-few-rows.ts";
import type { MatmulShape } from "./matmul-shape.ts";
import { tileShape } from "./matmul-tile.ts";
import { normal } from "./probe.ts";
import { type WeightFormatName, weightBytes, weightFormats } from "./weight-format.ts";

export const matmulShapes = { gemv: matvecShape, small_m: smallMShape, tile: tileShape } as const;

/** The shape for T rows. Any of them gives the same bits; this one is the fastest. */
export function shapeForRows(T: number): MatmulShape {
  if (T <= matvecShape.maxRows) return matvecShape;
  return T <= smallMShape.maxRows ? smallMShape : tileShape;
}

export interface MatmulVariant {
  readonly format: WeightFormatName;
  readonly shape: MatmulShape["name"];
  readonly epilogue: Epilogue;
}

const built = new Map<string, Kernel>();

/**
 *   x [T,K]  weight [rows,K]  bias? → out [T,out_stride] at column out_offset
 *
 * rows = N, or 2·N when the epilogue gates. Sums: K in chunks of 32, fma ascending inside a chunk,
 * chunk sums added ascending. K must be a multiple of 32.
 * Cost: rows·K weights once per row block, so one row of f16 is about 1 flop per byte.
 */
export function matmul({ format, shape, epilogue }: MatmulVariant): Kernel {
  const name = `matmul.${shape}[${format}].${epilogueName(epilogue)}`;
  const known = built.get(name);
  if (known) return known;
  const weights = weightFormats[format];
  const cut = matmulShapes[shape];
  const perOutput = rowsPerOutput(epilogue);
  const kernel = defineKernel({
    name,
    numerics: `matmul/chunk32/${epilogueName(epilogue)}`,
    bindings: {
      x: read("T,K", "vec4<f32>"),
      weight: read(`${perOutput}*N,K`, weights.element, weights.storage),
      ...epilogueBindings(epilogue),
    },
    params: { T: "u32", N: "u32", K: "u32", out_stride: "u32", out_offset: "u32" },
    features: weights.features,
    wgsl: `${weights.wgsl}\n${epilogueWgsl(epilogue)}\n${cut.wgsl(perOutput)}`,
    workgroups: cut.workgroups,
    cost: (dims) => {
      const { T, N, K } = dims;
      const loads = cut.loads(dims, perOutput);
      return {
        flops: 2 * perOutput * T * N * K,
        bytes: {
          x: 4 * loads.x,
          weight: weightBytes(weights) * loads.weights,
          ...epilogueBytes(epilogue, T, N),
        },
      };
    },
    reference: ({ x, weight, bias, out }, dims) => {
      const { T, N, K, out_stride, out_offset } = dims;
      for (let t = 0; t < T; t++) {
        for (let n = 0; n < N; n++) {
          const sum = dot(x, t * K, weight, n * K, K);
          const up = perOutput === 2 ? dot(x, t * K, weight, (N + n) * K, K) : 0;
          const at = t * out_stride + out_offset + n;
          finishReference(epilogue, { bias, out }, at, n, N, sum, up);
        }
      }
    },
    // f32 sums of K products against float64 sums; the measured worst is below 1e-6.
    tolerance: 4e-6,
    probes: matmulProbes(cut, perOutput, epilogue),
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

function matmulProbes(shape: MatmulShape, perOutput: 1 | 2, { bias, tail }: Epilogue) {
  const T = Math.min(shape.maxRows, shape.name === "tile" ? 33 : 5);
  return [
    { T: 1, N: 8, K: 32, out_stride: 8, out_offset: 0 },
    { T, N: 35, K: 96, out_stride: 35, out_offset: 0 },
    { T, N: 17, K: 1056, out_stride: 17, out_offset: 0 },
  ].map((dims) => ({
    dims,
    inputs: (random: () => number) => ({
      x: normal(dims.T * dims.K, random),
      weight: normal(perOutput * dims.N * dims.K, random, 1 / Math.sqrt(dims.K)),
      ...(bias && { bias: normal(perOutput * dims.N, random) }),
      ...(tail === "residual" && { out: normal(dims.T * dims.N, random) }),
    }),
  }));
}
