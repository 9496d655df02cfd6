// Matrix kernels that round x to int8 are a numeric class: the gemv of one row alone is the slow twin,
// and other shapes with any number of rows, the norm fused or not, give its bits. Each is compared with
// the reference too, and so are mutants of one, which must be found.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { gatedActivation } from "../../kernels/activation.ts";
import type { Epilogue } from "../../kernels/epilogue.ts";
import { int8Shapes, listedFormats } from "../../kernels/index.ts";
import type { BufferSlice, Kernel } from "../../kernels/kernel.ts";
import { matmul } from "../../kernels/matmul.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/packed-formats.ts";
import { packMatrix } from "../../kernels/packed-matrix.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { otherRotations } from "../../runtime/rotation-check.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

/** More than a tile and a rest each way; more chunks than any shape takes at a time. */
const ROWS = 40;
const COLUMNS = 70;
const DEPTHS = [256, 2304];
const EPS = 1e-5;
const STORE: Epilogue = { bias: false, tail: "store" };

let device: GpuDevice;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openGpuDevice(await gpu());
  memory = new KernelMemory(device);
});
afterEach(() => memory.free());
afterAll(() => device.destroy());

/**
 * A driver takes a second and more to build a pipeline, so the gate has two formats on lavapipe, and one
 * with the fused kinds and the mutants on SwiftShader; `npm run soak -- kernels` has all on both.
 */
const inSoak = scale("kernels", 0, 1) === 1;
const all = listedFormats.filter((format) => weightFormats[format].integer);
const inGate = project() === "lavapipe" ? (["q4_0", "q4_k"] as const) : (["q4_k"] as const);
const onSwiftShader = inSoak || project() === "swiftshader";

test.each(inSoak ? all : inGate)("%s: every shape gives a row its bits", async (format) => {
  const [one, ...more] = Object.values(int8Shapes).map(({ name: shape }) =>
    matmul({ format, shape, epilogue: STORE }),
  );
  for (const K of DEPTHS) {
    const given = await placed(operands(format, K), COLUMNS);
    const wanted = await eachRowAlone(one!, given, K);
    for (const kernel of more) {
      for (const T of kernel.name.includes("tile") ? [1, 31, ROWS] : [1, 7, 8, 9, 16]) {
        const bits = await rows(kernel, given, K, T);
        const differs = firstDifference(bits, wanted.subarray(0, bits.length));
        expect(differs, `${kernel.name}, K ${K}, ${T} rows`).toBe(-1);
      }
    }
  }
  for (const kernel of [one!, ...more]) {
    for (const probe of kernel.probes)
      expect((await runProbe(device, kernel, probe)).problem).toBe("");
  }
});

test.runIf(onSwiftShader)(
  "a norm and a gate change no bit by being fused (gate: SwiftShader alone, seconds a pipeline)",
  async () => {
    const K = 2304;
    const plain = operands("q4_0", K);
    const given = await placed(plain, 2 * COLUMNS);
    const normed = { ...given, x: await normalised(plain) };
    const tile = (tail: "store" | "silu") =>
      matmul({ format: "q4_0", shape: "tile_int8", epilogue: { bias: false, tail } });
    const gated = await rows(tile("silu"), normed, K, ROWS);
    // Gates and what they gate, as one matrix of twice the rows; then the activation.
    const sums = await rows(tile("store"), normed, K, ROWS, 2 * COLUMNS);
    const out = await memory.poison("out", 4 * ROWS * COLUMNS);
    const gate_up = await memory.put("gate_up", sums);
    await memory.run(gatedActivation("silu"), { gate_up, out }, { T: ROWS, F: COLUMNS });
    expect(firstDifference(gated, await memory.read(out))).toBe(-1);
    for (const [shape, T] of [
      ["gemv_int8", 1],
      ["small_m_int8", 11],
    ] as const) {
      const epilogue = { bias: false, tail: "silu" } as const;
      const kernel = matmul({ format: "q4_0", shape, prologue: "norm", epilogue });
      const bits = await rows(kernel, given, K, T);
      expect(firstDifference(bits, gated.subarray(0, bits.length)), shape).toBe(-1);
    }
  },
);

test.runIf(inSoak)(
  "a QKV matrix that rotates gives the bits of one that does not (in soak: seconds a pipeline)",
  async () => {
    const shapes = Object.values(int8Shapes);
    const others = await otherRotations(device, "q8_0", shapes, {
      bias: true,
      tail: "rope_kv_f16",
    });
    expect(others).toEqual([]);
  },
);

// By their place in the class: the scale of x, that of the weight, the offset, the rounding, the order.
test.runIf(onSwiftShader).each([
  ["x_scales[at] * scale_of(c)", "x_scales[0] * scale_of(c)"],
  ["let c = open_chunk(sum_slot, base + i);", "let c = open_chunk(sum_slot, base);"],
  ["x_scales[at] * offset_of(c)", "offset_of(c)"],
  ["(round(", "(trunc("],
  ["x_codes[codes + 0u]", "x_codes[codes ^ 1u]"],
])(
  "a mutant is found (gate: SwiftShader alone, seconds a pipeline): %s becomes %s",
  async (was, is) => {
    const kernel = matmul({ format: "q4_k", shape: "gemv_int8", epilogue: STORE });
    expect(kernel.wgsl).toContain(was);
    const mutant: Kernel = { ...kernel, wgsl: kernel.wgsl.replace(was, is) };
    expect((await runProbe(device, mutant, mutant.probes.at(-1)!)).problem).toMatch(/error/);
  },
);

interface Operands {
  readonly K: number;
  readonly format: WeightFormatName;
  readonly x: Float32Array;
  /** Twice COLUMNS rows, for gated epilogues. */
  readonly weight: Float32Array;
  readonly norm_weight: Float32Array;
}

function operands(format: WeightFormatName, K: number): Operands {
  const random = seededRandom(K);
  return {
    ...{ K, format, x: normal(ROWS * K, random) },
    weight: normal(2 * COLUMNS * K, random, K ** -0.5),
    norm_weight: uniform(K, 0.5, 1.5, random),
  };
}

interface Slices {
  readonly x: BufferSlice;
  readonly weight: BufferSlice;
  readonly norm_weight: BufferSlice;
}

/** @param N Rows of the matrix. */
async function placed({ format, K, x, weight, norm_weight }: Operands, N: number): Promise<Slices> {
  return {
    x: await memory.put("x", x),
    weight: await memory.put(
      "weight",
      packMatrix(weightFormats[format], weight.subarray(0, N * K), N, K),
    ),
    norm_weight: await memory.put("norm_weight", norm_weight),
  };
}

/** Bits of the first T rows, computed together. */
async function rows(
  kernel: Kernel,
  { x, weight, norm_weight }: Slices,
  K: number,
  T: number,
  N = COLUMNS,
) {
  const out = await memory.poison("out", 4 * T * N);
  const norm = "norm_weight" in kernel.bindings && { norm_weight };
  const dims = { T, N, K, out_stride: N, out_offset: 0, eps: EPS };
  await memory.run(kernel, { x, weight, out, ...norm }, dims);
  return (await memory.read(out)).subarray(0, T * N);
}

async function eachRowAlone(
  kernel: Kernel,
  { x, weight }: Slices,
  K: number,
): Promise<Uint32Array> {
  // Rows of the output as far apart as bindings must be.
  const apart = 512;
  const out = await memory.poison("out", ROWS * apart);
  const part = (slice: BufferSlice, row: number, sizeBytes: number, stride = sizeBytes) => ({
    ...slice,
    offsetBytes: slice.offsetBytes + row * stride,
    sizeBytes,
  });
  const dims = { T: 1, N: COLUMNS, K, out_stride: COLUMNS, out_offset: 0 };
  for (let t = 0; t < ROWS; t++) {
    const own = { x: part(x, t, 4 * K), out: part(out, t, 4 * COLUMNS, apart) };
    await memory.run(kernel, { weight, ...own }, dims);
  }
  const bits = await memory.read(out);
  return bits.filter((_, i) => i % (apart / 4) < COLUMNS);
}

async function normalised({ K, x, norm_weight }: Operands): Promise<BufferSlice> {
  const out = await memory.poison("normed", 4 * ROWS * K);
  const weight = await memory.put("norm_weight", norm_weight);
  const dims = { T: ROWS, D: K, eps: EPS };
  await memory.run(rmsNorm, { x: await memory.put("x", x), weight, out }, dims);
  return out;
}
