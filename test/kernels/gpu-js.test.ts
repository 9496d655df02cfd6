// A third opinion: gpu.js compiles loops of plain JavaScript by its own means. In its mode `cpu` it
// sums in float64 and stores float32, so our references must agree with it to float32's precision.

import { GPU, type IKernelFunctionThis } from "gpu.js";
import { afterAll, expect, test } from "vitest";
import { attentionPrefill } from "../../kernels/attention-prefill.ts";
import { matmul } from "../../kernels/matmul.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { rope } from "../../kernels/rope.ts";
import { ropeTable } from "../../kernels/rope-tables.ts";

type This<Constants> = IKernelFunctionThis & { constants: Constants };

const gpu = new GPU({ mode: "cpu" });
afterAll(() => gpu.destroy());

/** Runs on gpu.js's CPU backend and no other: it falls back without a word. */
function opinion<Constants extends Record<string, number>>(
  loop: (this: This<Constants>, ...inputs: number[][]) => number,
  constants: Constants,
  [columns, rows]: [number, number],
  ...inputs: Float32Array[]
): Float32Array {
  // biome-ignore lint/suspicious/noExplicitAny: gpu.js types neither typed arrays nor its backend.
  const kernel = gpu.createKernel(loop as any, { constants, output: [columns, rows] }) as any;
  const lines: Float32Array[] = kernel(...inputs);
  expect(kernel.kernel.constructor.name).toBe("CPUKernel");
  return Float32Array.from(lines.flatMap((line) => [...line]));
}

/** Largest difference relative to the RMS. */
function distance(got: Float32Array, wanted: Float32Array): number {
  expect(got.length).toBe(wanted.length);
  const rms = Math.hypot(...wanted) / Math.sqrt(wanted.length);
  return Math.max(...got.map((value, i) => Math.abs(value - wanted[i]!))) / rms;
}

const CLOSE = 1e-6;

test("matmul", () => {
  const dims = { T: 5, N: 37, K: 1056, out_stride: 37, out_offset: 0 };
  const random = seededRandom(1);
  const x = normal(dims.T * dims.K, random);
  const weight = normal(dims.N * dims.K, random, 0.05);
  const wanted = opinion(
    function (x, weight) {
      let sum = 0;
      for (let k = 0; k < this.constants.K; k++) {
        sum +=
          x[this.thread.y * this.constants.K + k]! * weight[this.thread.x * this.constants.K + k]!;
      }
      return sum;
    },
    { K: dims.K },
    [dims.N, dims.T],
    x,
    weight,
  );
  const out = new Float32Array(dims.T * dims.N);
  const epilogue = { bias: false, tail: "store" } as const;
  matmul({ format: "f32", shape: "tile", epilogue }).reference({ x, weight, out }, dims);
  expect(distance(out, wanted)).toBeLessThan(CLOSE);
});

test("RMSNorm", () => {
  const dims = { T: 3, D: 2080, eps: 1e-2 };
  const random = seededRandom(2);
  const x = normal(dims.T * dims.D, random);
  const weight = uniform(dims.D, 0.5, 1.5, random);
  const wanted = opinion(
    function (x, weight) {
      const row = this.thread.y * this.constants.D;
      let squares = 0;
      for (let d = 0; d < this.constants.D; d++) squares += x[row + d]! * x[row + d]!;
      const scale = 1 / Math.sqrt(squares / this.constants.D + this.constants.eps);
      return x[row + this.thread.x]! * scale * weight[this.thread.x]!;
    },
    { D: dims.D, eps: dims.eps },
    [dims.D, dims.T],
    x,
    weight,
  );
  const out = new Float32Array(dims.T * dims.D);
  rmsNorm.reference({ x, weight, out }, dims);
  expect(distance(out, wanted)).toBeLessThan(CLOSE);
});

// Attention whose keys are unit vectors times a score and whose values are unit vectors: the output
// is the softmax of the scores itself.
test("softmax", () => {
  const H = 32;
  const scores = normal(H, seededRandom(3), 4);
  const wanted = opinion(
    function (scores) {
      let largest = scores[0]!;
      for (let i = 1; i < this.constants.H; i++) largest = Math.max(largest, scores[i]!);
      let sum = 0;
      for (let i = 0; i < this.constants.H; i++) sum += Math.exp(scores[i]! - largest);
      return Math.exp(scores[this.thread.x]! - largest) / sum;
    },
    { H },
    [H, 1],
    scores,
  );
  const kv_pool = new Float32Array(2 * H * H);
  for (let i = 0; i < H; i++) {
    kv_pool[i * H + i] = scores[i]!;
    kv_pool[(H + i) * H + i] = 1;
  }
  const out = new Float32Array(H);
  attentionPrefill("f32").reference(
    {
      q: new Float32Array(H).fill(1),
      kv_pool,
      block_table: Uint32Array.of(0),
      query_tiles: Uint32Array.of(0, 1, 0, H - 1),
      out,
    },
    { Q: 1, N: 1, K: 1, B: 32, H, M: 1, window: 0, scale: 1 },
  );
  expect(distance(out, wanted)).toBeLessThan(CLOSE);
});

test("RoPE", () => {
  const dims = { T: 4, N: 2, H: 64, R: 64 };
  const C = 500;
  const base = 1e4;
  const x = normal(dims.T * dims.N * dims.H, seededRandom(4));
  const positions = Uint32Array.of(0, 1, 37, 499);
  const wanted = opinion(
    function (x, positions) {
      const half = this.constants.H / 2;
      const d = this.thread.x % this.constants.H;
      const i = d % half;
      const angle =
        positions[this.thread.y]! * this.constants.base ** ((-2 * i) / this.constants.H);
      const at = this.thread.y * this.constants.N * this.constants.H + this.thread.x;
      if (d < half) return x[at]! * Math.cos(angle) - x[at + half]! * Math.sin(angle);
      return x[at]! * Math.cos(angle) + x[at - half]! * Math.sin(angle);
    },
    { N: dims.N, H: dims.H, base },
    [dims.N * dims.H, dims.T],
    x,
    Float32Array.from(positions),
  );
  const rope_table = ropeTable(
    { headDim: dims.H, base, rotaryFactor: 1, scaling: { type: "default" } },
    C,
  );
  const out = new Float32Array(x.length);
  rope.reference({ x, positions, rope_table, out }, dims);
  expect(distance(out, wanted)).toBeLessThan(CLOSE);
});
