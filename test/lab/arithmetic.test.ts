// The lab's arithmetic: what a roofline says, what a sample is, and that the lab leaves no kernel out.

import { describe, expect, test } from "vitest";
import { casesOf } from "../../apps/lab/cases.ts";
import { modelShapes, realShapes } from "../../apps/lab/model-shapes.ts";
import { onnxModel } from "../../apps/lab/onnx-model.ts";
import { ridge, rooflineUs, trafficOf } from "../../apps/lab/roofline.ts";
import { predictStep } from "../../apps/lab/step-prediction.ts";
import { median, sample } from "../../apps/lab/stopwatch.ts";
import { tasksOf } from "../../apps/lab/tasks.ts";
import { kernelsOf, operationOf, withUserKernels } from "../../apps/lab/user-kernels.ts";
import { allKernels, bindingBytes, defineKernel, matmul, rmsNorm } from "../../kernels/index.ts";

describe("roofline", () => {
  // 100 GB/s and 1 TFLOP/s meet at 10 flops per byte.
  const peaks = { gbPerS: 100, gflopPerS: 1000 };

  test("is memory below the ridge and arithmetic above it", () => {
    expect(ridge(peaks)).toBe(10);
    expect(rooflineUs({ bytes: 1e6, flops: 1e6 }, peaks)).toBeCloseTo(10, 10);
    expect(rooflineUs({ bytes: 1e6, flops: 1e7 }, peaks)).toBeCloseTo(10, 10);
    expect(rooflineUs({ bytes: 1e6, flops: 1e8 }, peaks)).toBeCloseTo(100, 10);
    // Integers have a rate of their own, where it was measured.
    const integer = { bytes: 1e6, flops: 1e8, isInteger: true };
    expect(rooflineUs(integer, { ...peaks, dotGOpPerS: 4000 })).toBeCloseTo(25, 10);
    expect(rooflineUs(integer, peaks)).toBeCloseTo(100, 10);
  });

  test("counts every operand once, and what is read and written twice", () => {
    const epilogue = { bias: false, tail: "residual" } as const;
    const kernel = matmul({ format: "f32", shape: "tile", epilogue });
    const dims = { T: 64, N: 96, K: 128, out_stride: 96, out_offset: 0 };
    const { x, weight, out } = kernel.bindings;
    const { bytes, loadedBytes, flops } = trafficOf(kernel, dims);
    expect(flops).toBe(2 * 64 * 96 * 128);
    expect(bytes).toBe(
      bindingBytes(x, dims) + bindingBytes(weight, dims) + 2 * bindingBytes(out, dims),
    );
    // A tile of 32 rows reads the weights once, a second tile again.
    expect(loadedBytes).toBeGreaterThan(bytes);
  });

  test("counts only what is touched of a large operand", () => {
    const embedding = allKernels.find(({ name }) => name === "embedding[f32]")!;
    const dims = { T: 2, D: 64, V: 1000, first_row: 0, slots: 1 };
    expect(trafficOf(embedding, dims).bytes).toBeLessThan(3 * 4 * 2 * 64);
  });

  test("of a step: its kernels and the gaps between them, or the host, whichever takes longer", () => {
    const kernel = matmul({
      format: "f32",
      shape: "gemv",
      epilogue: { bias: false, tail: "store" },
    });
    const dims = { T: 1, N: 4096, K: 1024, out_stride: 4096, out_offset: 0 };
    const calls = [kernel, kernel].map((same) => ({ kernel: same, dims, buffers: {} }));
    const step = { calls, dispatches: 2, submissions: 1 };
    const probes = {
      ...{ copyGBPerS: 100, readGBPerS: 80, fmaGFlopPerS: 1000 },
      ...{ dispatchUs: 3, encodeUs: 1, submitUs: 20 },
    };
    // 4096 × 1024 weights of 4 bytes, x and out: 168 µs each at 100 GB/s.
    const bytes = 2 * 4 * (4096 * 1024 + 1024 + 4096);
    const gpuMs = bytes / 1e8 + 2 * 0.003;
    const prediction = predictStep(step, probes);
    expect(prediction.ms).toBeCloseTo(gpuMs, 10);
    expect(prediction).toMatchObject({ bytes, hostMs: 0.022 });
    expect(prediction.busMs).toBeCloseTo(bytes / 1e8, 10);
    expect(predictStep(step, { ...probes, encodeUs: 500 }).ms).toBeCloseTo(1.02, 10);
  });
});

describe("samples", () => {
  const options = { samples: 5, budgetMs: 1000 };

  test("repeat short work until the clock can tell", async () => {
    const asked: number[] = [];
    const { medianUs, repeats, samples } = await sample(async (count) => {
      asked.push(count);
      return 0.01 * count;
    }, options);
    expect(medianUs).toBeCloseTo(10, 6);
    expect(0.01 * repeats).toBeGreaterThanOrEqual(2);
    expect(samples).toBe(5);
    expect(asked[0]).toBe(1);
  });

  test("of long work are one run each, three of them, or one where a run takes too long", async () => {
    let runs = 0;
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 15));
      return [19, 18, 7, 5, 6][runs++];
    };
    const { medianUs, repeats, samples } = await sample(slow, { samples: 9, budgetMs: 20 });
    expect({ medianUs, repeats, samples }).toEqual({ medianUs: 6000, repeats: 1, samples: 3 });
    const slower = await sample(async () => 900, { samples: 9, budgetMs: 0 });
    expect(slower).toEqual({ medianUs: 900_000, repeats: 1, samples: 1 });
  });

  test("leave out what the clock did not give", async () => {
    let runs = 0;
    const flaky = async () => (runs++ % 2 ? 4 : undefined);
    expect((await sample(flaky, options)).medianUs).toBeGreaterThan(0);
    await expect(sample(async () => undefined, options)).rejects.toThrow(/gives no times/);
  });

  test("median", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
});

/** Measured where a model has experts. */
const EXPERTS = ["route", "expert_blocks", "expert_combine"];
/** And where it has a latent. */
const LATENT = ["latent_write", "latent_decode", "latent_prefill", "head_matmul"];
const formats = { formatsOf: () => ["f32"] as const };

describe("cases", () => {
  test.each(modelShapes.map((shape) => [shape.name, shape] as const))("of %s", (_, shape) => {
    const cases = casesOf(shape, formats);
    const measured = new Set(cases.map(({ operation }) => operation));
    // A kernel that is added to Weft must come into the lab.
    const all = new Set(allKernels.map(operationOf));
    if (!shape.latent) for (const name of LATENT) all.delete(name);
    if (!shape.experts) for (const name of EXPERTS) all.delete(name);
    expect([...measured].sort()).toEqual([...all].sort());
    for (const { kernels, dims } of cases) {
      for (const kernel of kernels) {
        const { bytes } = trafficOf(kernel, dims);
        expect(bytes, kernel.name).toBeGreaterThan(0);
        const groups = kernel.workgroups(dims);
        expect(Math.max(...groups), `${kernel.name} ${groups}`).toBeLessThanOrEqual(65_535);
      }
    }
  });

  test("the QKV matrix that rotates is measured where models run it", () => {
    const names = modelShapes.map((shape) => {
      const cases = casesOf(shape, formats).filter(({ role }) => role === "qkv, rope, cache");
      return cases.flatMap(({ rows, kernels }) => kernels.map(({ name }) => [rows, name]));
    });
    const [rotating] = names.filter((_, i) => !modelShapes[i]!.qkNorm);
    expect(rotating).toContainEqual([1, "matmul.gemv[f32,norm].rope_kv_f16"]);
    expect(rotating).toContainEqual([8, "matmul.small_m[f32,norm].rope_kv_f16"]);
    expect(rotating!.filter(([rows]) => rows === 512)).toEqual([]);
    expect(names.filter((_, i) => modelShapes[i]!.qkNorm).flat()).toEqual([]);
  });

  test("other libraries do what ours do", () => {
    for (const shape of realShapes) {
      const cases = casesOf(shape, formats);
      for (const { operation, role, rows } of tasksOf(shape)) {
        const ours = cases.filter(
          (of) => of.operation === operation && of.role === role && of.rows === rows,
        );
        expect(ours, `${operation} ${role} ${rows}`).toHaveLength(1);
      }
    }
  });
});

describe("kernels of a user", () => {
  const { kernels: _, ...some } = { ...rmsNorm, kernels: 0 };
  const mine = defineKernel({ ...some, name: "rms_norm.mine" });
  const other = defineKernel({ ...some, name: "other" });

  test("are found among a module's exports", () => {
    expect(kernelsOf({ default: [mine, 3], mine, text: "x", none: null })).toEqual([mine]);
  });

  test("stand beside ours of the same operation, others run at their own probes", () => {
    const cases = casesOf(modelShapes[0], formats);
    const jobs = withUserKernels(cases, [mine, other]);
    const beside = jobs.filter(({ kernel }) => kernel === mine);
    expect(beside.map(({ of }) => of.operation)).toEqual(["rms_norm", "rms_norm", "rms_norm"]);
    const alone = jobs.filter(({ kernel }) => kernel === other);
    expect(alone.map(({ of }) => of.dims)).toEqual(other.probes.map(({ dims }) => dims));
  });
});

test("an ONNX model, byte for byte", () => {
  const bytes = onnxModel({
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
    inputs: { x: { type: "float32", dims: [300] } },
    outputs: { y: { type: "int32" } },
  });
  const hex = Buffer.from(bytes).toString("hex");
  // ir_version 10; the graph: node x -> y "Neg", its name, x f32 [300], y i32; two operator sets.
  const node = `0a0d${"0a0178"}${"120179"}${"22034e6567"}${"3a00"}`;
  const x = `5a10${"0a0178"}${"120b0a0908011205"}${"0a0308ac02"}`;
  const y = `6209${"0a0179"}${"12040a020806"}`;
  expect(hex).toContain("080a3a");
  expect(hex).toContain(node);
  expect(hex).toContain(x);
  expect(hex).toContain(y);
  expect(hex.endsWith(`${"42040a001015"}${"42110a0d"}636f6d2e6d6963726f736f66741001`)).toBe(true);
});
