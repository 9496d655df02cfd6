/**
 * Operations that other libraries have too, in f32 and without paging: sizes, inputs, and the answer
 * by plain loops in float64.
 */
import { normal, seededRandom, uniform } from "../../kernels/index.ts";
import { attentionBatch } from "./attention-batch.ts";
import { attentionRole, matricesOf, SHARED_ROLE } from "./cases.ts";
import type { ModelShape } from "./model-shapes.ts";

export type Operation = "matmul" | "rms_norm" | "gated_activation" | "attention_decode";

export interface Task {
  readonly operation: Operation;
  readonly role: string;
  readonly rows: number;
  /** matmul T N K; rms_norm T D; gated_activation T F; attention_decode N K H C, C positions. */
  readonly sizes: Readonly<Record<string, number>>;
  /** As the rows of our own kernels show them. */
  readonly shapeDims: Readonly<Record<string, number>>;
  readonly flops: number;
  /** Every operand once. */
  readonly bytes: number;
  /** matmul x weight; rms_norm x weight; gated_activation gate_up; attention_decode q k v. */
  inputs(): Record<string, Float32Array>;
  /** The first row of the result. */
  firstRow(inputs: Record<string, Float32Array>): Float64Array;
}

export const EPS = 1e-6;

/** What the rows of one model have in common with other libraries. */
export function tasksOf(model: ModelShape): Task[] {
  const { N, K } = matricesOf(model).find(({ role }) => role === SHARED_ROLE)!;
  return [
    ...model.rows.map((T) => matmulTask(T, N, K)),
    ...model.rows.map((T) => normTask(T, model.hiddenSize)),
    ...model.rows.map((T) => activationTask(T, model.ffnSize)),
    attentionTask(model),
  ];
}

function matmulTask(T: number, N: number, K: number): Task {
  const sizes = { T, N, K };
  return {
    ...{ operation: "matmul", role: SHARED_ROLE, rows: T, sizes, shapeDims: sizes },
    flops: 2 * T * N * K,
    bytes: 4 * (T * K + N * K + T * N),
    inputs: () => {
      const random = seededRandom(1);
      return { x: normal(T * K, random), weight: normal(N * K, random, 1 / Math.sqrt(K)) };
    },
    firstRow: ({ x, weight }) =>
      Float64Array.from({ length: N }, (_, n) => dot(x, 0, weight, n * K, K)),
  };
}

function normTask(T: number, D: number): Task {
  const sizes = { T, D };
  return {
    ...{ operation: "rms_norm", role: "norm", rows: T, sizes, shapeDims: sizes },
    flops: 4 * T * D,
    bytes: 4 * (2 * T * D + D),
    inputs: () => {
      const random = seededRandom(2);
      return { x: normal(T * D, random), weight: uniform(D, 0.5, 1.5, random) };
    },
    firstRow: ({ x, weight }) => {
      const scale = 1 / Math.sqrt(dot(x, 0, x, 0, D) / D + EPS);
      return Float64Array.from({ length: D }, (_, d) => x[d] * scale * weight[d]);
    },
  };
}

function activationTask(T: number, F: number): Task {
  const sizes = { T, F };
  return {
    ...{ operation: "gated_activation", role: "activation", rows: T, sizes, shapeDims: sizes },
    flops: 10 * T * F,
    bytes: 12 * T * F,
    inputs: () => ({ gate_up: normal(2 * T * F, seededRandom(3), 2) }),
    firstRow: ({ gate_up }) =>
      Float64Array.from(
        { length: F },
        (_, f) => (gate_up[f] / (1 + Math.exp(-gate_up[f]))) * gate_up[F + f],
      ),
  };
}

/** One query over C positions; k and v are [C,K,H], f32 and unpaged. */
function attentionTask(model: ModelShape): Task {
  const { numHeads: N, numKvHeads: K, headDim: H, contextTokens: C } = model;
  const { dims } = attentionBatch(model, [{ firstPosition: C - 1, numRows: 1 }]);
  const scale = 1 / Math.sqrt(H);
  return {
    ...{ operation: "attention_decode", role: attentionRole(model), rows: 1, shapeDims: dims },
    sizes: { N, K, H, C },
    flops: 4 * C * N * H,
    bytes: 4 * (2 * C * K * H + 2 * N * H),
    inputs: () => {
      const random = seededRandom(4);
      return {
        q: normal(N * H, random),
        k: normal(C * K * H, random),
        v: normal(C * K * H, random),
      };
    },
    firstRow: ({ q, k, v }) => {
      const out = new Float64Array(N * H);
      for (let n = 0; n < N; n++) {
        const head = Math.floor((n * K) / N) * H;
        const scores = Float64Array.from(
          { length: C },
          (_, c) => scale * dot(q, n * H, k, c * K * H + head, H),
        );
        const most = scores.reduce((a, b) => Math.max(a, b));
        const weights = scores.map((score) => Math.exp(score - most));
        const sum = weights.reduce((a, b) => a + b);
        for (let c = 0; c < C; c++) {
          for (let h = 0; h < H; h++) {
            out[n * H + h] += (weights[c] / sum) * v[c * K * H + head + h];
          }
        }
      }
      return out;
    },
  };
}

function dot(a: Float32Array, aAt: number, b: Float32Array, bAt: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[aAt + i] * b[bAt + i];
  return sum;
}
