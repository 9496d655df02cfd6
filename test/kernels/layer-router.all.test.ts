// What a prompt's rows become a decision by, on every device: the windows and the network over them, written
// down by hand; and what PyTorch says of prompts and routers (docs/goldens.md).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  LAYER_DECISIONS,
  layerRouter,
  MAX_WINDOWS,
  numWindows,
  ROUTER_WIDTH,
  windowMeans,
} from "../../kernels/index.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { KernelMemory } from "./kernel-memory.ts";

const D = 4;

let device: Device;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openDevice("full");
  memory = new KernelMemory(device);
});
afterEach(() => memory.free());
afterAll(() => device.destroy());

/** Of rows whose first dim is given, and whose other dims are zero: the means of that dim. */
async function meansOf(values: readonly number[], firstRow = 0, n = values.length) {
  const x = Float32Array.from({ length: values.length * D }, (_, i) =>
    i % D === 0 ? values[i / D]! : 0,
  );
  const out = await memory.poison("out", 4 * D * MAX_WINDOWS);
  const dims = { T: values.length, first_row: firstRow, n, D };
  await memory.run(windowMeans, { x: await memory.put("x", x), out }, dims);
  return out;
}

async function firstDim(values: readonly number[], firstRow?: number, n?: number) {
  const words = await memory.read(await meansOf(values, firstRow, n));
  return [...new Float32Array(words.buffer, 0, MAX_WINDOWS)];
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe("windows", () => {
  test("are the rows themselves where they are few", async () => {
    expect(await firstDim([5, 7, 9])).toEqual([5, 7, 9, 0, 0, 0, 0, 0]);
    expect(await firstDim([5])).toEqual([5, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("drop the rows at the end that fill no window each", async () => {
    expect(await firstDim(upTo(15))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await firstDim(upTo(16))).toEqual([0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]);
    expect(await firstDim(upTo(23))).toEqual([0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]);
  });

  test("begin where the sequence's rows do", async () => {
    expect(await firstDim([100, 1, 2, 100], 1, 2)).toEqual([1, 2, 0, 0, 0, 0, 0, 0]);
  });
});

interface Network {
  /** Of the first hidden unit and the first dim; all others are zero. */
  readonly weightIn: number;
  /** Of each class and the first unit. */
  readonly weightOut: readonly [number, number, number];
  readonly biasOut: readonly [number, number, number];
}

async function decide(values: readonly number[], { weightIn, weightOut, biasOut }: Network) {
  const weight_in = new Float32Array(ROUTER_WIDTH * D);
  weight_in[0] = weightIn;
  const weight_out = new Float32Array(3 * ROUTER_WIDTH);
  for (const [k, weight] of weightOut.entries()) weight_out[k * ROUTER_WIDTH] = weight;
  const decisions = await memory.poison("decisions", 4 * 3);
  const logits = await memory.poison("logits", 4 * 9);
  const buffers = {
    means: await meansOf(values),
    weight_in: await memory.put("weight_in", weight_in),
    bias_in: await memory.put("bias_in", new Float32Array(ROUTER_WIDTH)),
    weight_out: await memory.put("weight_out", weight_out),
    bias_out: await memory.put("bias_out", Float32Array.from(biasOut)),
    decisions,
    logits,
  };
  const dims = { W: numWindows(values.length), D, S: 3, slot: 1 };
  await memory.run(layerRouter, buffers, dims);
  const decided = (await memory.read(decisions))[1]!;
  const words = await memory.read(logits);
  return { decision: LAYER_DECISIONS[decided], logits: [...new Float32Array(words.buffer, 12, 3)] };
}

describe("the decision", () => {
  test("is the largest logit's", async () => {
    const network = { weightIn: 0, weightOut: [0, 0, 0] } as const;
    const of = (biasOut: Network["biasOut"]) => decide([1], { ...network, biasOut });
    expect(await of([1, -1, 0.5])).toEqual({ decision: "skip", logits: [1, -1, 0.5] });
    expect(await of([-1, 2, 0.5])).toEqual({ decision: "execute", logits: [-1, 2, 0.5] });
    expect(await of([-3, -2, -1])).toEqual({ decision: "repeat", logits: [-3, -2, -1] });
  });

  test("is the first of logits that tie", async () => {
    const network = { weightIn: 0, weightOut: [0, 0, 0] } as const;
    const of = (biasOut: Network["biasOut"]) => decide([1, 2], { ...network, biasOut });
    expect((await of([0, 0, 0])).decision).toBe("skip");
    expect((await of([-1, 2, 2])).decision).toBe("execute");
  });

  test("is made of logits that are averaged, not of averaged rows, nor of votes", async () => {
    // gelu(3) = 2.9964, gelu(−1) = −0.1588. Rows averaged: gelu(0) = 0. Votes: three against one.
    const { decision, logits } = await decide([-1, -1, 3, -1], {
      weightIn: 1,
      weightOut: [1, 0, 0],
      biasOut: [0, 0.6, 0],
    });
    expect(logits[0]).toBeCloseTo((2.9964 - 3 * 0.1588) / 4, 3);
    expect(decision).toBe("skip");
  });

  test("has a gelu by tanh", async () => {
    for (const x of [-30, -2.3, -0.5, 0.7, 2.2, 30]) {
      const { logits } = await decide([x], {
        weightIn: 1,
        weightOut: [1, 0, 0],
        biasOut: [0, 0, 0],
      });
      const inner = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
      expect(logits[0]! - 0.5 * x * (1 + Math.tanh(inner))).toBeLessThan(1e-5);
      expect(logits[0]! - 0.5 * x * (1 + Math.tanh(inner))).toBeGreaterThan(-1e-5);
    }
  });
});

interface Golden {
  readonly hiddenSize: number;
  readonly layers: readonly Readonly<Record<string, readonly (readonly number[] | number)[]>>[];
  readonly prompts: readonly {
    readonly tokens: number;
    readonly layers: readonly {
      readonly hidden: readonly (readonly number[])[];
      readonly logits: readonly number[];
      readonly decision: number;
    }[];
  }[];
}

describe("as PyTorch decides in float64", () => {
  const path = join(import.meta.dirname, "..", "fixtures", "layer-routers.json");
  const golden: Golden = JSON.parse(readFileSync(path, "utf8"));

  test.each(golden.prompts.map(({ tokens }, i) => [tokens, i] as const))(
    "a prompt of %d tokens",
    async (n, prompt) => {
      const { hiddenSize, prompts } = golden;
      const dims = { T: n + 3, first_row: 2, n, W: numWindows(n), D: hiddenSize };
      for (const [layer, weights] of golden.layers.entries()) {
        const { hidden, logits, decision } = prompts[prompt]!.layers[layer]!;
        // Rows of others before and behind.
        const x = new Float32Array((n + 3) * hiddenSize).fill(7);
        x.set(hidden.flat(), 2 * hiddenSize);
        const put = (name: string) => memory.put(name, Float32Array.from(weights[name]!.flat()));
        const means = await memory.poison("means", 4 * hiddenSize * MAX_WINDOWS);
        await memory.run(windowMeans, { x: await memory.put("x", x), out: means }, dims);
        const decisions = await memory.poison("decisions", 16);
        const out = await memory.poison("logits", 16);
        const buffers = {
          means,
          weight_in: await put("linear1.weight"),
          bias_in: await put("linear1.bias"),
          weight_out: await put("linear2.weight"),
          bias_out: await put("linear2.bias"),
          decisions,
          logits: out,
        };
        await memory.run(layerRouter, buffers, { ...dims, S: 1, slot: 0 });
        const words = await memory.read(out);
        const got = new Float32Array(words.buffer, 0, 3);
        for (const [k, logit] of logits.entries()) expect(got[k]).toBeCloseTo(logit, 4);
        expect((await memory.read(decisions))[0], `layer ${layer}`).toBe(decision);
      }
    },
  );
});
