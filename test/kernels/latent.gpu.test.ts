// Multi-head latent attention over the paged cache: every row has the same bits by split decode, by
// prefill of the whole, in chunks, and in a mixed step; and what is fused has the bits of its twins.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rangesOf } from "../../kernels/attention-probes.ts";
import { attentionReduce } from "../../kernels/attention-reduce.ts";
import { type AttentionRange, attentionWork } from "../../kernels/attention-work.ts";
import { numberToF16 } from "../../kernels/half.ts";
import { headMatmul, headMatmulProbe } from "../../kernels/head-matmul.ts";
import type { BufferSlice, Dims } from "../../kernels/kernel.ts";
import { latentDecode } from "../../kernels/latent-decode.ts";
import type { LatentStorage } from "../../kernels/latent-layout.ts";
import { latentPrefill } from "../../kernels/latent-prefill.ts";
import { type LatentBatch, latentProbe } from "../../kernels/latent-probes.ts";
import { latentWrite, latentWriteProbe } from "../../kernels/latent-write.ts";
import { matmul } from "../../kernels/matmul.ts";
import { seededRandom } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import type { Device } from "../../runtime/device.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

let device: GpuDevice;
beforeAll(async () => {
  device = await openGpuDevice(await gpu(), { profile: "baseline" });
});
afterAll(() => device.destroy());

type Inputs = Record<string, Float32Array | Uint32Array>;

// DeepSeek's own sizes, whose lanes are all that WebGPU guarantees, and small ones.
const all: readonly (readonly [LatentStorage, number, number])[] = [
  ["f16", 32, 16],
  ["f32", 96, 8],
  ["f16", 512, 64],
];
const sizes = all.filter(([storage], i) => {
  if (scale("attention", 0, 1) === 1) return true;
  return project() === "swiftshader" ? i === 0 : storage === "f16";
});

describe.each(sizes)("latents in %s of %i dims, %i rotated", (...of) => {
  const [storage, H, R] = of;
  const seeds = Array.from({ length: scale("attention", H === 512 ? 1 : 3, 40) }, (_, i) => i);
  test.each(seeds)("ragged batch %i", (seed) => sameBits(randomBatch(H, R, seed), storage));
});

const contexts = [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 300];

function randomBatch(H: number, R: number, seed: number): LatentBatch {
  const random = seededRandom(1000 * H + seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  return {
    ...{ N: [9, 1, 16, 4, 13][seed % 5]!, H, R },
    B: H === 96 ? 16 : 32,
    ranges: Array.from({ length: H === 512 ? 2 : 4 }, () => {
      const end = pick(contexts);
      const numRows = Math.min(end, pick([1, 1, 3, 7, 16, 17]));
      return { firstPosition: end - numRows, numRows };
    }),
  };
}

async function sameBits(batch: LatentBatch, storage: LatentStorage): Promise<void> {
  const { dims, inputs } = latentProbe(batch, "prefill");
  const given = inputs(seededRandom(7)) as Inputs;
  const ranges = rangesOf(batch);
  const run = (on: Device, cut: readonly AttentionRange[], maxDecodeTiles: number) =>
    attend(on, dims, given, storage, cut, maxDecodeTiles);

  const whole = await run(device, ranges, 0);
  expect(firstDifference(whole, await run(device, chunks(ranges, 1), 1e9)), "decode").toBe(-1);
  expect(firstDifference(whole, await run(device, chunks(ranges, 5), 0)), "chunks").toBe(-1);
  expect(firstDifference(whole, await run(device, ranges, 1e9)), "mixed").toBe(-1);

  const spoilt = { ...given, kv_pool: withoutLastRows(batch, dims, given) };
  const rest = await attend(device, dims, spoilt, storage, ranges, 0);
  for (const { firstRow, numRows } of ranges) {
    const [from, to] = [firstRow, firstRow + numRows - 1].map((row) => row * batch.N * batch.H);
    const same = firstDifference(whole.slice(from, to), rest.slice(from, to));
    expect(same, "a row's NaN reached earlier rows").toBe(-1);
  }

  const reference = new ReferenceDevice();
  const wanted = await run(reference, ranges, 0);
  const split = await run(reference, chunks(ranges, 1), 1e9);
  reference.destroy();
  expect(firstDifference(split, wanted), "decode of the reference").toBe(-1);
  const limit = latentPrefill(storage).tolerance;
  expect(distance(floats(whole), floats(wanted))).toBeLessThan(limit);
}

/** The pool with NaN for each sequence's last position. */
function withoutLastRows({ B, ranges }: LatentBatch, { M, X }: Dims, given: Inputs): Float32Array {
  const pool = Float32Array.from(given.kv_pool!);
  for (const [sequence, { firstPosition, numRows }] of ranges.entries()) {
    const last = firstPosition + numRows - 1;
    const block = given.block_table![sequence * M! + Math.floor(last / B)]!;
    const start = (block * B + (last % B)) * X!;
    pool.fill(Number.NaN, start, start + X!);
  }
  return pool;
}

function chunks(ranges: readonly AttentionRange[], size: number): AttentionRange[] {
  return ranges.flatMap(({ firstRow, numRows, sequence, firstPosition }) =>
    Array.from({ length: Math.ceil(numRows / size) }, (_, i) => ({
      firstRow: firstRow + i * size,
      numRows: Math.min(size, numRows - i * size),
      sequence,
      firstPosition: firstPosition + i * size,
    })),
  );
}

/** One step of attention as the engine runs it; `out` starts as NaN. */
async function attend(
  on: Device,
  shape: Dims,
  inputs: Inputs,
  storage: LatentStorage,
  ranges: readonly AttentionRange[],
  maxDecodeTiles: number,
): Promise<Uint32Array> {
  const { B, T, N, H, J, Z } = shape as Record<string, number>;
  const work = attentionWork(ranges, B!, { window: 0, maxDecodeTiles });
  const dims = { ...shape, ...work.dims };
  const memory = new KernelMemory(on);
  const pool = inputs.kv_pool as Float32Array;
  const buffers: Record<string, BufferSlice> = {
    q: await memory.put("q", inputs.q!),
    kv_pool: await memory.put(
      "kv_pool",
      storage === "f16" ? Uint16Array.from(pool, numberToF16) : pool,
    ),
    block_table: await memory.put("block_table", inputs.block_table!),
    decode_tiles: await memory.put("decode_tiles", work.decodeTiles),
    decode_rows: await memory.put("decode_rows", work.decodeRows),
    query_tiles: await memory.put("query_tiles", work.queryTiles),
    partials: await memory.poison("partials", 16 * Math.max(1, work.dims.W) * J! * Z!),
    out: await memory.poison("out", 4 * T! * N! * H!),
  };
  if (work.dims.W > 0) {
    await memory.run(latentDecode(storage), buffers, dims);
    await memory.run(attentionReduce, buffers, dims);
  }
  if (work.dims.Q > 0) await memory.run(latentPrefill(storage), buffers, dims);
  const out = await memory.read(buffers.out!);
  memory.free();
  return out;
}

test("the latent that is written has the bits of rms_norm", async () => {
  const probe = latentWriteProbe({ T: 3, N: 2, P: 3, B: 16, H: 96, R: 8, C: 9, Y: 40, eps: 1e-2 });
  const { T, H, X, eps } = probe.dims;
  const { x, norm_weight, token_places } = probe.inputs(seededRandom(1));
  const { outputs } = await runProbe(device, latentWrite("f32"), probe);
  const rows = Float32Array.from({ length: T * H }, (_, i) => x[Math.floor(i / H) * X + (i % H)]!);
  const norm = await runProbe(device, rmsNorm, {
    dims: { T, D: H, eps },
    inputs: () => ({ x: rows, weight: norm_weight }),
  });
  const pool = new Uint32Array(outputs.kv_pool!.slice().buffer);
  const normed = new Uint32Array(norm.outputs.out!.slice().buffer);
  for (let t = 0; t < T; t++) {
    const slot = token_places[2 * t + 1]!;
    const written = pool.slice(slot * X, slot * X + H);
    expect(firstDifference(written, normed.slice(t * H, (t + 1) * H))).toBe(-1);
  }
});

test("values from the latent have the bits of a matrix kernel", async () => {
  const sizes = {
    T: 5,
    N: 1,
    D: 36,
    L: 288,
    head_rows: 36,
    first_row: 0,
    x_head: 288,
    out_head: 36,
  };
  const probe = headMatmulProbe("bf16", sizes);
  const { T, D, L } = sizes;
  const { outputs } = await runProbe(device, headMatmul("bf16", "rows"), {
    ...probe,
    dims: { ...probe.dims, out_head: D },
  });
  const epilogue = { bias: false, tail: "store" } as const;
  const product = await runProbe(device, matmul({ format: "bf16", shape: "small_m", epilogue }), {
    dims: { T, N: D, K: L, out_stride: D, out_offset: 0 },
    inputs: probe.inputs,
  });
  expect(outputs.out).toEqual(product.outputs.out);
});

test("a query in the latent's space scores as it does against the head's own keys", async () => {
  // q · (W c) = (Wᵀ q) · c
  const sizes = { T: 1, N: 2, D: 32, L: 64, head_rows: 52, first_row: 0, x_head: 32, out_head: 64 };
  const probe = headMatmulProbe("f32", sizes);
  const { x, weight } = probe.inputs(seededRandom(1));
  const { outputs } = await runProbe(device, headMatmul("f32", "columns"), {
    ...probe,
    dims: sizes,
    inputs: () => ({ x: x.subarray(0, 64), weight }),
  });
  const absorbed = floats(new Uint32Array(outputs.out!.slice().buffer));
  const c = Float64Array.from({ length: 64 }, (_, l) => Math.cos(3 * l));
  for (const head of [0, 1]) {
    let direct = 0;
    for (let d = 0; d < 32; d++) {
      for (let l = 0; l < 64; l++) {
        direct += x[32 * head + d]! * weight[(52 * head + d) * 64 + l]! * c[l]!;
      }
    }
    const own = absorbed.subarray(64 * head, 64 * head + 64);
    expect(own.reduce((sum, value, l) => sum + value * c[l]!, 0)).toBeCloseTo(direct, 4);
  }
});

const floats = (words: Uint32Array) => new Float32Array(words.buffer);

/** Largest difference relative to the RMS of what was wanted; NaN anywhere counts as infinite. */
function distance(got: Float32Array, wanted: Float32Array): number {
  const rms = Math.sqrt(wanted.reduce((sum, x) => sum + x * x, 0) / wanted.length);
  let largest = 0;
  for (let i = 0; i < wanted.length; i++) {
    const error = Math.abs(got[i]! - wanted[i]!) / rms;
    if (Number.isNaN(error)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, error);
  }
  return largest;
}
