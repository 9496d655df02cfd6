// Tuning on a device whose kernels take known times: the fastest is found, what is wrong is dropped
// with its reason, and neither time nor requests are trampled on.

import { expect, test, vi } from "vitest";
import { bindingBytes } from "../../../kernels/kernel.ts";
import { matmulShapes } from "../../../kernels/matmul.ts";
import { weightFormats } from "../../../kernels/packed-formats.ts";
import { packedRead } from "../../../kernels/packed-matrix.ts";
import type { MatmulChoices } from "../../../models/matmul-choice.ts";
import type { MatrixUse } from "../../../models/matrix-use.ts";
import { type Device, wholeBuffer } from "../../../runtime/device.ts";
import { Budget } from "../../../runtime/tuning/budget.ts";
import { candidatesFor } from "../../../runtime/tuning/candidates.ts";
import { IdleTuner } from "../../../runtime/tuning/idle-tuner.ts";
import type { TunableMatrix } from "../../../runtime/tuning/matrix-bench.ts";
import { tuneMatrix } from "../../../runtime/tuning/tune.ts";
import type { TuningCache, TuningRecord } from "../../../runtime/tuning/tuning-cache.ts";
import { timedDevice } from "./timed-device.ts";

const { gemv, small_m, tile } = matmulShapes;
const USE: MatrixUse = { format: "q8_0", N: 24, K: 64, gated: false, norm: true, octets: false };

async function matrixOn(device: Device, use: MatrixUse = USE): Promise<TunableMatrix> {
  const rows = use.gated ? 2 * use.N : use.N;
  const dims = { N: rows, K: use.K };
  const bytes = bindingBytes(packedRead("N,K", weightFormats[use.format]), dims);
  const buffers = [await device.createBuffer("a", bytes), await device.createBuffer("b", bytes)];
  return { ...use, weights: buffers.map(wholeBuffer), maxRows: 64 };
}

const memory = () => {
  const records = new Map<string, TuningRecord>();
  const cache: TuningCache = {
    read: async (key) => records.get(key),
    write: async (key, record) => {
      records.set(key, record);
    },
  };
  return { records, cache };
};

test.each([
  [gemv, "gemv_64x16x4"],
  [small_m, "small_m4_64x32x2"],
  [tile, "tile_64x32_8x4"],
])("of the shapes for as many rows as $name the fastest is found", async (standard, best) => {
  const device = timedDevice({ us: (name) => (name.includes(`.${best}[`) ? 5 : 10) });
  const matrix = await matrixOn(device);
  const tuned = await tuneMatrix(device, matrix, standard, new Budget(60_000));
  expect(tuned).toMatchObject({ use: USE, us: 5, standardUs: 10, dropped: [] });
  expect([tuned!.shape.name, tuned!.standard.name]).toEqual([best, standard.name]);
  expect(tuned!.tried).toBe(candidatesFor(device.info, USE, standard).length);
});

test("what does not compile or computes other bits is dropped, however fast it is", async () => {
  const device = timedDevice({
    us: (name) => (/gemv_64x(16|32)x[24]/.test(name) ? 1 : 10),
    refuses: /gemv_64x16x/,
    spoils: /gemv_64x32x/,
  });
  const tuned = await tuneMatrix(device, await matrixOn(device), gemv, new Budget(60_000));
  expect(tuned!.shape).toBe(gemv);
  const reasons = Object.fromEntries(tuned!.dropped.map(({ shape, reason }) => [shape, reason]));
  expect(Object.keys(reasons).sort()).toEqual([
    ...["gemv_64x16x2", "gemv_64x16x4", "gemv_64x32x1", "gemv_64x32x2", "gemv_64x32x8"],
  ]);
  expect(reasons.gemv_64x16x2).toMatch(/gemv_64x16x2\[q8_0,norm\]\.store: no/);
  expect(reasons.gemv_64x32x2).toBe("other bits than gemv");
});

test("of a gated matrix no shape is tried that its tiles would not fit", async () => {
  const device = timedDevice({ us: () => 10 });
  const names = candidatesFor(device.info, { ...USE, gated: true }, tile).map(({ name }) => name);
  expect(names).toContain("tile_32x64_4x8");
  expect(names).not.toContain("tile_64x64_4x8");
});

test("the budget ends tuning after one more piece of work", async () => {
  let submissions = 0;
  const device = timedDevice({ us: () => 2500, onSubmit: () => submissions++ });
  const matrix = await matrixOn(device);
  let work = 0;
  const budget = new Budget(1e9, () => work++ < 12);
  expect(await tuneMatrix(device, matrix, gemv, budget)).toBeUndefined();
  // Four for compiling, eight submissions.
  expect(submissions).toBe(8);
  const spent = new Budget(0);
  expect(await tuneMatrix(device, matrix, gemv, spent)).toBeUndefined();
  expect(submissions).toBe(8);
});

test("an idle engine's tuner stores what it finds, and never repeats it", async () => {
  const device = timedDevice({
    us: (name) => (/gemv_128x32x2|tile_64x32_8x4/.test(name) ? 5 : 10),
  });
  const { records, cache } = memory();
  const standard: MatmulChoices = new Map([
    ["q8_0", { shapes: [gemv, small_m, tile], fusesNorm: true, fusesRope: true }],
  ]);
  const matrices = [await matrixOn(device)];
  const options = { device, cache, matrices, standard, budgetMs: 60_000, isIdle: () => true };
  const tuner = new IdleTuner(options);
  tuner.wake();
  const entries = () => [...records.values()].flatMap((record) => record.entries);
  await expect.poll(() => entries().length, { timeout: 20_000 }).toBe(3);
  const shapes = Object.fromEntries(entries().map(({ bucket, shape }) => [bucket, shape]));
  expect(shapes).toEqual({ one: "gemv_128x32x2", many: "tile_64x32_8x4", few: "small_m" });

  let submissions = 0;
  const again = timedDevice({ us: () => 10, onSubmit: () => submissions++ });
  const next = new IdleTuner({ ...options, device: again, matrices: [await matrixOn(again)] });
  next.wake();
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(submissions).toBe(0);
});

test("half of the time may go to compilers; what is found in the rest of it is not kept", async () => {
  let clock = 0;
  const now = vi.spyOn(performance, "now").mockImplementation(() => clock);
  const compiled: string[] = [];
  const device = timedDevice({
    us: () => 10,
    onPrepare: (name) => {
      compiled.push(name);
      clock += 15;
    },
  });
  const { records, cache } = memory();
  const standard: MatmulChoices = new Map([
    ["q8_0", { shapes: [gemv, small_m, tile], fusesNorm: true, fusesRope: true }],
  ]);
  const matrices = [await matrixOn(device)];
  // Four at a time take 60 ms: three times for one row, once for many, and the last leaves nothing.
  const options = { device, cache, matrices, standard, budgetMs: 300, isIdle: () => true };
  new IdleTuner(options).wake();
  await expect.poll(() => compiled.length, { timeout: 20_000 }).toBe(20);
  now.mockRestore();
  const entries = [...records.values()].flatMap((record) => record.entries);
  expect(entries.map(({ bucket }) => bucket)).toEqual(["one"]);
});

test("a request stops the tuner before its next submission; it goes on when all is quiet", async () => {
  let busy = false;
  const whileBusy: string[] = [];
  let submissions = 0;
  const device = timedDevice({
    us: () => 2500,
    onSubmit: (kernels) => {
      submissions += 1;
      if (busy) whileBusy.push(...kernels);
      if (submissions === 20) busy = true;
    },
  });
  const { records, cache } = memory();
  const standard: MatmulChoices = new Map([
    ["q8_0", { shapes: [gemv, small_m, tile], fusesNorm: true, fusesRope: true }],
  ]);
  const matrices = [await matrixOn(device)];
  const tuner = new IdleTuner({
    ...{ device, cache, matrices, standard, budgetMs: 60_000 },
    isIdle: () => !busy,
  });
  tuner.wake();
  await expect.poll(() => busy, { timeout: 20_000 }).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(whileBusy).toEqual([]);
  busy = false;
  tuner.wake();
  await expect.poll(() => records.size, { timeout: 20_000 }).toBe(1);
  tuner.stop();
});
