// Random routers and batches: what slots go where, and that every way to multiply by experts gives a
// slot the bits that its expert's matrix alone gives it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { blockCapacity, expertBlocks } from "../../kernels/expert-blocks.ts";
import { matmul } from "../../kernels/matmul.ts";
import { normal, seededRandom, uniform } from "../../kernels/probe.ts";
import { route, routeDims, routerKind } from "../../kernels/route.ts";
import { chooseExperts, NO_EXPERT, type RouterSpec } from "../../kernels/router.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { preferredShapes } from "../../runtime/optional-families.ts";
import { deviceInfo } from "../harness/device.ts";
import { gpu } from "../harness/gpu.ts";
import { report, scale } from "../harness/soak.ts";
import { firstDifference, KernelMemory } from "./kernel-memory.ts";

let device: GpuDevice;
let memory: KernelMemory;
beforeAll(async () => {
  device = await openGpuDevice(await gpu());
  memory = new KernelMemory(device);
});
afterEach(() => memory.free());
afterAll(() => device.destroy());

const CASES = scale("experts", 50, 1000);
const [one, ...more] = preferredShapes(await deviceInfo());
const many = more.at(-1)!;
const K = 64;
const N = 8;
const SILU = { bias: false, tail: "silu" } as const;

interface Case {
  readonly router: RouterSpec;
  readonly T: number;
  readonly logits: Float32Array;
}

/** Few experts and many, few tokens and many; now and then one that all choose and one that none does. */
function randomCase(random: () => number): Case {
  const below = (end: number) => Math.floor(random() * end);
  const experts = 1 + below(random() < 0.2 ? 200 : 20);
  const chosen = 1 + below(Math.min(experts, 8));
  const identityFrom = random() < 0.3 ? 1 + below(experts) : undefined;
  const router: RouterSpec = {
    ...{ experts, chosen, score: "softmax", choiceBias: false, scale: 1 },
    ...(random() < 0.5 && { renormaliseEps: 0 }),
    ...(identityFrom !== undefined && { identityFrom }),
  };
  const T = 1 + below(random() < 0.3 ? 100 : 12);
  const logits = normal(T * experts, random, 2);
  const shifts = new Map([
    [below(experts), 20],
    [below(experts), -20],
  ]);
  if (random() < 0.3) {
    for (const [e, shift] of shifts) {
      for (let t = 0; t < T; t++) logits[t * experts + e]! += shift;
    }
  }
  return { router, T, logits };
}

async function routed({ router, T, logits }: Case) {
  const S = T * router.chosen;
  const buffers = {
    logits: await memory.put("logits", logits),
    ids: await memory.poison("ids", 4 * S),
    weights: await memory.poison("weights", 4 * S),
  };
  await memory.run(route(routerKind(router)), buffers, routeDims(router, T, router.experts));
  return { ids: buffers.ids, chosen: (await memory.read(buffers.ids)).subarray(0, S) };
}

async function grouped(ids: Awaited<ReturnType<typeof routed>>["ids"], S: number, E: number) {
  const block_rows = many.rowsPerGroup;
  const num_blocks = blockCapacity(S, E, block_rows);
  const places = await memory.poison("places", 4 * num_blocks * block_rows);
  const blocks = await memory.poison("blocks", 8 * num_blocks);
  await memory.run(expertBlocks, { ids, places, blocks }, { S, E, num_blocks, block_rows });
  return { places, blocks, num_blocks, block_rows };
}

describe(`${CASES} random routers and batches`, () => {
  test("each slot has its best experts, and one place in a block of its expert", async () => {
    const random = seededRandom(7);
    let slots = 0;
    for (let i = 0; i < CASES; i++) {
      const given = randomCase(random);
      const { router, T, logits } = given;
      const { experts, chosen: k, identityFrom: E = experts } = router;
      const { ids, chosen } = await routed(given);
      for (let t = 0; t < T; t++) {
        const want = chooseExperts(router, logits.subarray(t * experts, (t + 1) * experts)).ids;
        const found = [...chosen.subarray(t * k, (t + 1) * k)];
        expect(found, `case ${i}, token ${t}`).toEqual(want.map((e) => (e < E ? e : NO_EXPERT)));
      }
      const { places, blocks, num_blocks, block_rows } = await grouped(ids, T * k, E);
      const place = await memory.read(places);
      const block = await memory.read(blocks);
      const seen = new Set<number>();
      for (let b = 0; b < num_blocks; b++) {
        const [expert, rows] = [block[2 * b]!, block[2 * b + 1]!];
        expect(rows, `case ${i}`).toBeLessThanOrEqual(block_rows);
        for (let r = 0; r < rows; r++) {
          const slot = place[b * block_rows + r]!;
          expect(chosen[slot], `case ${i}, slot ${slot}`).toBe(expert);
          seen.add(slot);
        }
      }
      // Slots of identity experts have no row anywhere.
      expect(seen.size, `case ${i}`).toBe(chosen.filter((id) => id !== NO_EXPERT).length);
      slots += seen.size;
      memory.free();
    }
    report("experts", { cases: CASES, slots });
  }, 600_000);

  test("a slot gets its expert's bits, alone and in any block", async () => {
    const random = seededRandom(8);
    const store = matmul({ format: "f16", shape: one!.name, epilogue: SILU });
    const single = matmul({ format: "f16", shape: one!.name, epilogue: SILU, rows: "slots" });
    const blocked = matmul({ format: "f16", shape: many.name, epilogue: SILU, rows: "blocks" });
    const { pack } = single.bindings.weight!.packing!;
    let rows = 0;
    for (let i = 0; i < CASES; i++) {
      const given = randomCase(random);
      const { T, router } = given;
      const { chosen: k, experts, identityFrom: E = experts } = router;
      const S = T * k;
      const { ids, chosen } = await routed(given);
      const { places, blocks, num_blocks, block_rows } = await grouped(ids, S, E);
      // Two shards: an expert's slots are computed by the one that holds it, and no other.
      const cut = 1 + Math.floor(random() * E);
      const values = uniform(E * 2 * N * K, -1, 1, random);
      const x = await memory.put("x", normal(T * K, random));
      const out = {
        single: await memory.poison("s", 4 * S * N),
        blocked: await memory.poison("b", 4 * S * N),
      };
      for (const [first, end] of [
        [0, cut],
        [cut, E],
      ] as const) {
        if (first === end) continue;
        const own = values.subarray(first * 2 * N * K, end * 2 * N * K);
        const weight = await memory.put("weight", pack(own, (end - first) * 2 * N, K));
        const dims = {
          ...{ T: S, N, K, out_stride: N, out_offset: 0, x_rows: T, slots_per_x: k },
          ...{ experts: end - first, first_expert: first },
          own_slots: S,
        };
        await memory.run(single, { x, weight, expert_ids: ids, out: out.single }, dims);
        const inBlocks = { num_blocks, places: num_blocks * block_rows, used_blocks: num_blocks };
        const buffers = { x, weight, places, blocks, out: out.blocked };
        await memory.run(blocked, buffers, { ...dims, ...inBlocks });
      }
      const found = await memory.read(out.single);
      expect(firstDifference(found, await memory.read(out.blocked)), `case ${i}`).toBe(-1);
      // The slow twin: the first slot that has an expert, by that expert's matrix alone.
      const slot = chosen.findIndex((id) => id !== NO_EXPERT);
      if (slot >= 0) {
        const e = chosen[slot]!;
        const own = values.subarray(e * 2 * N * K, (e + 1) * 2 * N * K);
        const weight = await memory.put("weight", pack(own, 2 * N, K));
        const row = {
          ...x,
          offsetBytes: x.offsetBytes + 4 * K * Math.floor(slot / k),
          sizeBytes: 4 * K,
        };
        const alone = await memory.poison("alone", 4 * N);
        const dims = { T: 1, N, K, out_stride: N, out_offset: 0 };
        await memory.run(store, { x: row, weight, out: alone }, dims);
        const want = await memory.read(alone);
        expect([...found.subarray(slot * N, (slot + 1) * N)], `case ${i}`).toEqual([...want]);
      }
      rows += chosen.filter((id) => id !== NO_EXPERT).length;
      memory.free();
    }
    report("experts", { cases: CASES, rows, shapes: [one!.name, many.name] });
  }, 600_000);
});
