// The int8 rows of the KV cache, as the driver writes them, against their definition
// (kernels/kv-int8.ts), stated here once more without its code.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Dims } from "../../kernels/kernel.ts";
import { kvWrite } from "../../kernels/kv-write.ts";
import { normal, seededRandom } from "../../kernels/probe.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { KernelMemory } from "./kernel-memory.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

const K = 2;
const B = 16;
const P = 3;
const POISON = 0x7fff7fff;

/** A head of K or V each; most are random, of many magnitudes. */
function rows(H: number): Float32Array[] {
  const random = seededRandom(H);
  const scales = [1, 1, 1, 1e-3, 1e-9, 300, 4e4, 1e20];
  const drawn = scales.map((scale) => normal(H, random, scale));
  const one = (value: number) => Float32Array.from({ length: H }, (_, d) => (d === 5 ? value : 0));
  // Codes of whole and of half steps: 127 is the largest.
  const halves = Float32Array.from({ length: H }, (_, d) => (d === 0 ? 127 : (d % 9) - 4 + 0.5));
  return [
    ...drawn,
    one(0),
    one(-3),
    one(65504),
    one(-1e30),
    one(2 ** -101),
    halves,
    halves.map((x) => -x),
    one(1).fill(0.25),
  ];
}

test.each([32, 80, 256])("head size %i", async (H) => {
  const values = rows(H);
  const T = values.length / 2 / K;
  const part = (from: number) =>
    Float32Array.from({ length: T * K * H }, (_, i) => values[from + Math.floor(i / H)]![i % H]!);
  const memory = new KernelMemory(device);
  const dims: Dims = { T, K, B, H, P };
  const slots = Uint32Array.from({ length: T }, (_, t) => 2 * B - 2 + t);
  const kv_pool = await memory.poison("pool", P * 2 * K * B * (H + 4));
  const buffers = {
    k: await memory.put("k", part(0)),
    v: await memory.put("v", part(T * K)),
    slot_mapping: await memory.put("slots", slots),
    kv_pool,
  };
  await memory.run(kvWrite("i8"), buffers, dims);
  const words = await memory.read(kv_pool);
  memory.free();

  const blockWords = (2 * K * B * (H + 4)) / 4;
  const written = new Set<number>();
  for (const [i, x] of values.entries()) {
    const plane = Math.floor(i / (T * K));
    const slot = slots[Math.floor(i / K) % T]!;
    const row = (plane * K + (i % K)) * B + (slot % B);
    const block = Math.floor(slot / B) * blockWords;
    const firstCode = block + (row * H) / 4;
    const scaleWord = block + (2 * K * B * H) / 4 + row;
    const codes = new Int8Array(words.buffer, 4 * firstCode, H);
    const scale = new Float32Array(words.buffer)[scaleWord]!;
    for (let word = 0; word < H / 4; word++) written.add(firstCode + word);
    written.add(scaleWord);
    expectRow(x, codes, scale);
  }
  const strays = words.findIndex((word, i) => word !== POISON && !written.has(i));
  expect(strays, "a word that is no row's").toBe(-1);
});

function expectRow(x: Float32Array, codes: Int8Array, scale: number): void {
  const limited = x.map((value) => Math.max(-65504, Math.min(65504, value)));
  const largest = limited.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest < 2 ** -100) {
    expect(scale).toBe(0);
    expect([...codes]).toEqual([...codes].fill(0));
    return;
  }
  // One product in f32: every driver has this very scale.
  expect(scale).toBe(Math.fround(largest * Math.fround(1 / 127)));
  const steps = Array.from(limited, (value) => (value / largest) * 127);
  // A quotient may be off by 2.5 units in the last place, so that a half goes either way.
  const errors = steps.map((step, d) => Math.abs(codes[d]! - step));
  expect(Math.max(...errors)).toBeLessThan(0.5 + 1e-4);
  // Of this one the quotient is 1.
  if (largest === 127) expect([...codes]).toEqual(steps.map(halfEven));
}

const halfEven = (x: number): number => {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
};
