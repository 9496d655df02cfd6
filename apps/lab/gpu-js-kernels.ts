/**
 * The shared operations as gpu.js takes them: one loop per output value. Their source text is what
 * it compiles, so they use nothing but numbers, arrays and `this`.
 */
import { EPS, type Task } from "./tasks.ts";

interface This {
  readonly thread: { readonly x: number; readonly y: number };
  readonly constants: Readonly<Record<string, number>>;
}

export interface Step {
  readonly loop: (this: This, ...inputs: never[]) => number;
  readonly constants: Readonly<Record<string, number>>;
  /** Columns, rows. */
  readonly output: readonly [number, number];
  /** Inputs of the task, and what earlier steps gave. */
  readonly takes: readonly string[];
  readonly gives: string;
}

export function gpuJsSteps({ operation, sizes }: Task): Step[] {
  const { T, N, K, D, F, H, C } = sizes;
  const step = (
    loop: Step["loop"],
    constants: Step["constants"],
    output: Step["output"],
    takes: Step["takes"],
    gives = "out",
  ): Step => ({ loop, constants, output, takes, gives });
  switch (operation) {
    case "matmul":
      return [step(matmul, { K }, [N, T], ["x", "weight"])];
    case "rms_norm":
      return [
        step(scales, { D, eps: EPS }, [T, 1], ["x"], "scale"),
        step(scaled, { D }, [D, T], ["x", "weight", "scale"]),
      ];
    case "gated_activation":
      return [step(silu, { F }, [F, T], ["gate_up"])];
    case "attention_decode": {
      const constants = { K, H, C, group: N / K, scale: 1 / Math.sqrt(H) };
      return [
        step(scores, constants, [C, N], ["q", "k"], "scores"),
        step(largest, { C }, [N, 1], ["scores"], "largest"),
        step(sums, { C }, [N, 1], ["scores", "largest"], "sums"),
        step(values, constants, [N * H, 1], ["scores", "largest", "sums", "v"]),
      ];
    }
  }
}

function matmul(this: This, x: number[], weight: number[]) {
  let sum = 0;
  for (let k = 0; k < this.constants.K; k++) {
    sum += x[this.thread.y * this.constants.K + k] * weight[this.thread.x * this.constants.K + k];
  }
  return sum;
}

function scales(this: This, x: number[]) {
  let squares = 0;
  for (let d = 0; d < this.constants.D; d++) {
    squares += x[this.thread.x * this.constants.D + d] * x[this.thread.x * this.constants.D + d];
  }
  return 1 / Math.sqrt(squares / this.constants.D + this.constants.eps);
}

function scaled(this: This, x: number[], weight: number[], scale: number[][]) {
  const at = this.thread.y * this.constants.D + this.thread.x;
  return x[at] * scale[0][this.thread.y] * weight[this.thread.x];
}

function silu(this: This, gate_up: number[]) {
  const at = this.thread.y * 2 * this.constants.F + this.thread.x;
  return (gate_up[at] / (1 + Math.exp(-gate_up[at]))) * gate_up[at + this.constants.F];
}

function scores(this: This, q: number[], k: number[]) {
  const head = Math.floor(this.thread.y / this.constants.group) * this.constants.H;
  const from = this.thread.x * this.constants.K * this.constants.H + head;
  let sum = 0;
  for (let h = 0; h < this.constants.H; h++) {
    sum += q[this.thread.y * this.constants.H + h] * k[from + h];
  }
  return sum * this.constants.scale;
}

function largest(this: This, scores: number[][]) {
  let most = scores[this.thread.x][0];
  for (let c = 1; c < this.constants.C; c++) most = Math.max(most, scores[this.thread.x][c]);
  return most;
}

function sums(this: This, scores: number[][], most: number[][]) {
  let sum = 0;
  for (let c = 0; c < this.constants.C; c++) {
    sum += Math.exp(scores[this.thread.x][c] - most[0][this.thread.x]);
  }
  return sum;
}

function values(this: This, scores: number[][], most: number[][], sum: number[][], v: number[]) {
  const head = Math.floor(this.thread.x / this.constants.H);
  const inHead = this.thread.x - head * this.constants.H;
  const kvHead = Math.floor(head / this.constants.group);
  let out = 0;
  for (let c = 0; c < this.constants.C; c++) {
    const at = (c * this.constants.K + kvHead) * this.constants.H + inHead;
    out += Math.exp(scores[head][c] - most[0][head]) * v[at];
  }
  return out / sum[0][head];
}
