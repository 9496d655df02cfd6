// The QKV matrix that rotates and writes the cache itself, against the norm, the matrix and
// `rope_kv_write` one after another, bit for bit; matrices of one run of rows and of two.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kvRowBytes } from "../../kernels/kv-layout.ts";
import { matmul, matmulShapes, shapeNamed } from "../../kernels/matmul.ts";
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import { shapeVariants } from "../../kernels/matmul-variants.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/packed-formats.ts";
import { packedRead } from "../../kernels/packed-matrix.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { probeTable } from "../../kernels/rope.ts";
import { probePlaces, ropeKvWrite } from "../../kernels/rope-kv-write.ts";
import type { Device } from "../../runtime/device.ts";
import { deviceInfo, openDevice } from "../harness/device.ts";
import { scale } from "../harness/soak.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

let device: Device;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openDevice("full");
  memory = new KernelMemory(device);
});
afterEach(() => memory.free());
afterAll(() => device.destroy());

interface Subject {
  readonly shape: MatmulShape["name"];
  /** Of q and k, then of v. */
  readonly formats: readonly [WeightFormatName, WeightFormatName];
  readonly storage: "f32" | "f16";
  readonly bias: boolean;
}

const { subgroupSize } = await deviceInfo("full");
/** Those for subgroups, where the driver has their size. */
const shapes = Object.values<MatmulShape>(matmulShapes)
  .filter(({ hasOctets, features, name }) => {
    return hasOctets && (features.length === 0 || /\d+$/.exec(name)![0] === `${subgroupSize}`);
  })
  .map(({ name }) => name);

/** Each pipeline takes a second on a software driver: the gate sees each shape, storage and bias. */
const sample = [...shapes, "small_m4_64x16x4" as const].map((shape): Subject => {
  if (shape === "gemv") return { shape, formats: ["q8_0", "q4_0"], storage: "f16", bias: true };
  const bias = shape.includes("broadcast");
  return { shape, formats: ["f16", "f16"], storage: bias ? "f16" : "f32", bias };
});
const variants = shapeVariants.filter(({ hasOctets }) => hasOctets).map(({ name }) => name);
const everything = [...shapes, ...variants].flatMap((shape) =>
  (["f32", "f16"] as const).flatMap((storage) =>
    [false, true].map((bias): Subject => {
      return { shape, formats: bias ? ["q4_k", "q6_k"] : ["bf16", "q8_0"], storage, bias };
    }),
  ),
);
const subjects = scale("kernels", 0, 1) === 1 ? everything : sample;

describe.each(subjects)("$shape, weights $formats, cache $storage, bias $bias", (subject) => {
  test.each([
    { T: 5, heads: 4, kv_heads: 2, H: 32, R: 32, B: 32, K: 256 },
    { T: 9, heads: 3, kv_heads: 1, H: 64, R: 32, B: 16, K: 512 },
    { T: 2, heads: 2, kv_heads: 2, H: 80, R: 40, B: 32, K: 256 },
    { T: 16, heads: 2, kv_heads: 1, H: 128, R: 128, B: 32, K: 1280 },
    { T: 3, heads: 1, kv_heads: 1, H: 64, R: 0, B: 16, K: 256 },
  ])("%o", async (sizes) => {
    const T = Math.min(sizes.T, shapeNamed(subject.shape)!.maxRows);
    await compare(subject, { ...sizes, T });
  });
});

type Sizes = Record<"T" | "heads" | "kv_heads" | "H" | "R" | "B" | "K", number>;

async function compare({ shape, formats, storage, bias }: Subject, sizes: Sizes): Promise<void> {
  const { T, heads, kv_heads, H, R, B, K } = sizes;
  const rows = (heads + 2 * kv_heads) * H;
  const common = { T, K, out_stride: rows, P: 4, C: 300, eps: 1e-5 };
  const random = seededRandom(T + H);
  const runs = runsOf(formats, (heads + kv_heads) * H, rows).map((run) => {
    const packing = packingOf(run.format);
    const words = packing.pack(normal(run.N * K, random, K ** -0.5), run.N, K);
    return { ...run, words, values: packing.unpack(words, run.N, K) };
  });
  const given = {
    x: await memory.put("x", normal(T * K, random)),
    norm_weight: await memory.put("norm_weight", uniform(K, 0.5, 1.5, random)),
    bias: await memory.put("bias", normal(rows, random)),
    token_places: await memory.put("places", probePlaces({ T, P: 4, B, C: 300 }, random)),
    rope_table: await memory.put("table", probeTable(H, R, 300)),
  };
  const outputs = async () => ({
    q: await memory.poison("q", 4 * T * heads * H),
    kv_pool: await memory.poison("pool", 4 * 2 * kv_heads * B * kvRowBytes(storage, H)),
  });

  const fused = await outputs();
  for (const { format, N, out_offset, words } of runs) {
    const epilogue = { bias, tail: `rope_kv_${storage}` } as const;
    const kernel = matmul({ format, shape, prologue: "norm", epilogue });
    const weight = await memory.put("weight", words);
    const dims = { ...common, ...sizes, N, out_offset };
    await memory.run(kernel, { ...given, ...fused, weight }, dims);
  }

  // Formats decode exactly, so f32 stands for them all; and every shape adds in the same order.
  const apart = await outputs();
  const normed = await memory.poison("normed", 4 * T * K);
  const norm = { x: given.x, weight: given.norm_weight, out: normed };
  await memory.run(rmsNorm, norm, { T, D: K, eps: common.eps });
  const qkv = await memory.poison("qkv", 4 * T * rows);
  const values = new Float32Array(rows * K);
  for (const run of runs) values.set(run.values, run.out_offset * K);
  const weight = await memory.put("weight", packingOf("f32").pack(values, rows, K));
  const store = matmul({ format: "f32", shape: "small_m", epilogue: { bias, tail: "store" } });
  const operands = { x: normed, weight, bias: given.bias, out: qkv };
  await memory.run(store, operands, { ...common, N: rows, out_offset: 0 });
  const { token_places, rope_table } = given;
  await memory.run(
    ropeKvWrite({ storage, qkNorm: false }),
    { qkv, token_places, rope_table, ...apart },
    { ...common, N: heads, K: kv_heads, B, H, R, qkv_heads: heads + 2 * kv_heads },
  );

  for (const name of ["q", "kv_pool"] as const) {
    const actual = await memory.read(fused[name]);
    expect(firstDifference(actual, await memory.read(apart[name])), name).toBe(-1);
  }
}

const packingOf = (format: WeightFormatName) => packedRead("N,K", weightFormats[format]).packing!;

/** Rows of one format are one matrix. */
function runsOf([first, last]: Subject["formats"], boundary: number, rows: number) {
  if (first === last) return [{ format: first, N: rows, out_offset: 0 }];
  return [
    { format: first, N: boundary, out_offset: 0 },
    { format: last, N: rows - boundary, out_offset: boundary },
  ];
}
