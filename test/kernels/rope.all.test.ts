// The fused RoPE and KV write against its unfused twins, bit for bit.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dims } from "../../kernels/kernel.ts";
import { type KvStorage, kvRowBytes, kvStorages } from "../../kernels/kv-layout.ts";
import { kvWrite } from "../../kernels/kv-write.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { rmsNorm } from "../../kernels/rms-norm.ts";
import { probeTable, rope } from "../../kernels/rope.ts";
import { probePlaces, ropeKvWrite } from "../../kernels/rope-kv-write.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

describe.each(kvStorages)("fused equals unfused, KV in %s", (storage) => {
  test.each([
    { T: 5, N: 4, K: 2, B: 32, H: 32, R: 32 },
    { T: 3, N: 3, K: 1, B: 16, H: 64, R: 32 },
    { T: 2, N: 2, K: 2, B: 32, H: 128, R: 128 },
    { T: 2, N: 1, K: 1, B: 32, H: 256, R: 0 },
  ])("%o", async (sizes) => {
    for (const qkNorm of [false, true]) await compare(sizes, storage, qkNorm);
  });
});

async function compare(sizes: Dims, storage: KvStorage, qkNorm: boolean): Promise<void> {
  const { T, N, K, B, H, R } = sizes as Record<string, number>;
  const dims: Dims = { ...sizes, C: 300, P: 4, qkv_heads: N + 2 * K, eps: 1e-5 };
  const random = seededRandom(T + H);
  const qkv = normal(T * (N + 2 * K) * H, random);
  const weights = uniform(2 * H, 0.5, 1.5, random);
  const columns = (from: number, count: number) =>
    Float32Array.from({ length: T * count }, (_, i) => {
      return qkv[Math.floor(i / count) * (N + 2 * K) * H + from + (i % count)];
    });
  const memory = new KernelMemory(device);
  const places = probePlaces({ T, P: 4, B, C: 300 }, random);
  const every = (from: number) => places.filter((_, i) => i % 2 === from);
  const token_places = await memory.put("places", places);
  const positions = await memory.put("positions", every(0));
  const slot_mapping = await memory.put("slots", every(1));
  const rope_table = await memory.put("table", probeTable(H, R, 300));
  const poolBytes = 4 * 2 * K * B * kvRowBytes(storage, H);

  const fused = {
    qkv: await memory.put("qkv", qkv),
    token_places,
    rope_table,
    qk_norm: await memory.put("qk_norm", weights),
    q: await memory.poison("q", 4 * T * N * H),
    kv_pool: await memory.poison("pool", poolBytes),
  };
  await memory.run(ropeKvWrite({ storage, qkNorm }), fused, dims);

  const rotated = async (label: string, x: Float32Array, heads: number, weight: Float32Array) => {
    let from = await memory.put(label, x);
    if (qkNorm) {
      const out = await memory.poison(label, x.byteLength);
      const slices = { x: from, weight: await memory.put(label, weight), out };
      await memory.run(rmsNorm, slices, { T: T * heads, D: H, eps: 1e-5 });
      from = out;
    }
    const out = await memory.poison(label, x.byteLength);
    await memory.run(rope, { x: from, positions, rope_table, out }, { ...dims, N: heads });
    return out;
  };
  const q = await rotated("q", columns(0, N * H), N, weights.subarray(0, H));
  const k = await rotated("k", columns(N * H, K * H), K, weights.subarray(H));
  const v = await memory.put("v", columns((N + K) * H, K * H));
  const kv_pool = await memory.poison("pool", poolBytes);
  await memory.run(kvWrite(storage), { k, v, slot_mapping, kv_pool }, dims);

  expect(firstDifference(await memory.read(fused.q), await memory.read(q))).toBe(-1);
  expect(firstDifference(await memory.read(fused.kv_pool), await memory.read(kv_pool))).toBe(-1);
  memory.free();
}
