// Attention over the paged cache: every row has the same bits by split decode, by prefill of the
// whole, in chunks, and in a mixed step; and those bits are near the float64 reference.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attentionDecode } from "../../kernels/attention-decode.ts";
import { type AttentionVariant, attentionPrefill } from "../../kernels/attention-prefill.ts";
import { type AttentionBatch, attentionProbe, rangesOf } from "../../kernels/attention-probes.ts";
import { attentionReduce, attentionReduceWithSinks } from "../../kernels/attention-reduce.ts";
import { type AttentionRange, attentionWork } from "../../kernels/attention-work.ts";
import { numberToF16 } from "../../kernels/half.ts";
import { type BufferSlice, type Dims, shapeSizes } from "../../kernels/kernel.ts";
import { type KvStorage, kvPoolRead, kvRowStart, kvStorages } from "../../kernels/kv-layout.ts";
import { seededRandom } from "../../kernels/probe.ts";
import type { Device } from "../../runtime/device.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
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

const heads = [
  { N: 4, K: 2 },
  { N: 3, K: 3 },
  { N: 16, K: 1 },
  { N: 4, K: 1 },
  { N: 10, K: 2 },
];

// Pipelines are seconds each on a software driver, so the gate pairs sizes and storages.
const sizes: readonly (readonly [KvStorage, number])[] =
  scale("attention", 0, 1) === 1
    ? kvStorages.flatMap((storage) => [32, 64, 80, 96, 128, 256].map((H) => [storage, H] as const))
    : project() === "swiftshader"
      ? [["f16", 32] as const, ["f32", 80] as const, ["i8", 32] as const]
      : [
          ["f16", 32],
          ["i8", 80],
          ["f32", 64],
          ["f16", 256],
        ];

describe.each(sizes)("KV in %s, head size %i", (storage, H) => {
  const seeds = Array.from({ length: scale("attention", 3, 40) }, (_, i) => i);
  test.each(seeds)("ragged batch %i", (seed) => sameBits(randomBatch(H, seed), storage));
});

/** What few models have of attention, both at once; merging and masking are no other than above. */
const variant: Required<AttentionVariant> = { capped: true, sinks: true };
describe("capped scores, and sinks", () => {
  const of: readonly (readonly [KvStorage, number])[] =
    project() === "swiftshader" && scale("attention", 0, 1) === 0 ? [["f16", 32]] : [["f16", 80]];
  const seeds = Array.from({ length: scale("attention", 2, 40) }, (_, i) => i);
  test.each(of.flatMap(([storage, H]) => seeds.map((seed) => [storage, H, seed] as const)))(
    "KV in %s, head size %i, ragged batch %i",
    (storage, H, seed) => sameBits(randomBatch(H, seed), storage, variant),
  );
});

test("a sink takes its share of the weight, a cap bounds scores", async () => {
  const batch = {
    ...heads[0],
    H: 32,
    B: 32,
    window: 0,
    ranges: [{ firstPosition: 0, numRows: 1 }],
  };
  const { dims, inputs } = attentionProbe(batch, "decode");
  const given = inputs(seededRandom(1)) as Record<string, Float32Array | Uint32Array>;
  const on = new ReferenceDevice();
  const run = async (shape: Dims, sink: number, of: AttentionVariant) =>
    floats(
      await attend(
        on,
        shape,
        { ...given, sinks: new Float32Array(dims.N).fill(sink) },
        "f32",
        rangesOf(batch),
        1e9,
        of,
      ),
    );
  // One position: its weight is 1 without a sink, and a half beside a sink of the same score.
  const alone = await run(dims, 0, {});
  const halved = await run({ ...dims, scale: 0 }, 0, { sinks: true });
  expect(
    distance(
      halved.map((x) => 2 * x),
      alone,
    ),
  ).toBeLessThan(1e-6);
  const ignored = await run(dims, -1e30, { sinks: true });
  expect(distance(ignored, alone)).toBe(0);
  // A score far above the cap is the cap.
  const capped = await run({ ...dims, scale: 1e6, cap: 2 }, 2, { capped: true, sinks: true });
  for (let i = 0; i < capped.length; i++) {
    const share = capped[i] / alone[i];
    expect(Math.min(Math.abs(share - 0.5), Math.abs(share - 1 / (1 + Math.exp(4))))).toBeLessThan(
      1e-6,
    );
  }
  on.destroy();
});

const contexts = [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 300];

function randomBatch(H: number, seed: number): AttentionBatch {
  const random = seededRandom(1000 * H + seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)];
  return {
    ...heads[seed % heads.length],
    H,
    B: H === 80 ? 16 : 32,
    // In the first batches every row sees all.
    window: seed % 2 === 0 ? 0 : pick([1, 31, 64, 65, 100]),
    ranges: Array.from({ length: 4 }, () => {
      const end = pick(contexts);
      const numRows = Math.min(end, pick([1, 1, 3, 7, 16, 17]));
      return { firstPosition: end - numRows, numRows };
    }),
  };
}

async function sameBits(
  batch: AttentionBatch,
  storage: KvStorage,
  of: AttentionVariant = {},
): Promise<void> {
  const { H } = batch;
  const probe = attentionProbe(batch, "prefill");
  const inputs = probe.inputs(seededRandom(7)) as Record<string, Float32Array | Uint32Array>;
  const ranges = rangesOf(batch);
  const run = (on: Device, cut: readonly AttentionRange[], maxDecodeTiles: number) =>
    attend(on, probe.dims, inputs, storage, cut, maxDecodeTiles, of);

  const whole = await run(device, ranges, 0);
  expect(firstDifference(whole, await run(device, chunks(ranges, 1), 1e9)), "decode").toBe(-1);
  expect(firstDifference(whole, await run(device, chunks(ranges, 5), 0)), "chunks").toBe(-1);
  expect(firstDifference(whole, await run(device, ranges, 1e9)), "mixed").toBe(-1);

  const spoilt = { ...inputs, kv_pool: withoutLastRows(batch, probe.dims, inputs) };
  const rest = await attend(device, probe.dims, spoilt, storage, ranges, 0, of);
  for (const { firstRow, numRows } of ranges) {
    const [from, to] = [firstRow, firstRow + numRows - 1].map((row) => row * batch.N * H);
    const same = firstDifference(whole.slice(from, to), rest.slice(from, to));
    expect(same, "a row's NaN reached earlier rows").toBe(-1);
  }

  const reference = new ReferenceDevice();
  const wanted = await run(reference, ranges, 0);
  const split = await run(reference, chunks(ranges, 1), 1e9);
  reference.destroy();
  expect(firstDifference(split, wanted), "decode of the reference").toBe(-1);
  expect(distance(floats(whole), floats(wanted))).toBeLessThan(attentionPrefill(storage).tolerance);
}

/** The pool with NaN for K and V of each sequence's last row. */
function withoutLastRows(
  batch: AttentionBatch,
  { M }: Dims,
  { kv_pool, block_table }: Record<string, Float32Array | Uint32Array>,
): Float32Array {
  const pool = Float32Array.from(kv_pool);
  for (const { sequence, firstPosition, numRows } of rangesOf(batch)) {
    const last = firstPosition + numRows - 1;
    const block = block_table[sequence * M + Math.floor(last / batch.B)];
    for (let head = 0; head < batch.K; head++) {
      for (const plane of [0, 1] as const) {
        const start = kvRowStart(batch, block, plane, head, last % batch.B);
        pool.fill(Number.NaN, start, start + batch.H);
      }
    }
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
  inputs: Record<string, Float32Array | Uint32Array>,
  storage: KvStorage,
  ranges: readonly AttentionRange[],
  maxDecodeTiles: number,
  { capped = false, sinks = false }: AttentionVariant,
): Promise<Uint32Array> {
  const { B, window, T, N, H, J, Z } = shape as Record<string, number>;
  const work = attentionWork(ranges, B, { window, maxDecodeTiles });
  const dims = { ...shape, ...work.dims };
  const memory = new KernelMemory(on);
  const pool = inputs.kv_pool as Float32Array;
  const buffers: Record<string, BufferSlice> = {
    q: await memory.put("q", inputs.q),
    kv_pool: await memory.put("kv_pool", stored(pool, storage, shape)),
    block_table: await memory.put("block_table", inputs.block_table),
    decode_tiles: await memory.put("decode_tiles", work.decodeTiles),
    decode_rows: await memory.put("decode_rows", work.decodeRows),
    query_tiles: await memory.put("query_tiles", work.queryTiles),
    sinks: await memory.put("sinks", inputs.sinks),
    partials: await memory.poison("partials", 16 * Math.max(1, work.dims.W) * J * Z),
    out: await memory.poison("out", 4 * T * N * H),
  };
  if (work.dims.W > 0) {
    await memory.run(attentionDecode(storage, { capped }), buffers, dims);
    await memory.run(sinks ? attentionReduceWithSinks : attentionReduce, buffers, dims);
  }
  if (work.dims.Q > 0)
    await memory.run(attentionPrefill(storage, { capped, sinks }), buffers, dims);
  const out = await memory.read(buffers.out);
  memory.free();
  return out;
}

function stored(pool: Float32Array, storage: KvStorage, dims: Dims): ArrayBufferView {
  if (storage === "f16") return Uint16Array.from(pool, numberToF16);
  const { packing, shape } = kvPoolRead(storage);
  return packing?.pack(pool, ...shapeSizes(shape, dims)) ?? pool;
}

const floats = (words: Uint32Array) => new Float32Array(words.buffer);

/** Largest difference relative to the RMS of what was wanted; NaN anywhere counts as infinite. */
function distance(got: Float32Array, wanted: Float32Array): number {
  const rms = Math.sqrt(wanted.reduce((sum, x) => sum + x * x, 0) / wanted.length);
  let largest = 0;
  for (let i = 0; i < wanted.length; i++) {
    const error = Math.abs(got[i] - wanted[i]) / rms;
    if (Number.isNaN(error)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, error);
  }
  return largest;
}
