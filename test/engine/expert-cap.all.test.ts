// Experts under a cap: whoever has to make room, and for whom, no id changes, and the memory stays below
// the cap. Hit rates and bytes by policy: `npm run soak -- expert-cap`.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import { evictions } from "../../runtime/experts/eviction.ts";
import { ExpertPool } from "../../runtime/experts/expert-pool.ts";
import type { ExpertId } from "../../runtime/experts/expert-slots.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { ask, randomIds, refused } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const isSoak = scale("expert-cap", 0, 1) === 1;
const numLayers = isSoak ? 7 : 3;
const folder = shallowFolder(demoFolder("demo-moe"), numLayers);
const device = project() === "reference" ? "reference" : "gpu";
const open = opener({ platform: nodePlatform, folder, device });
/** Two of eight experts of 48 KiB in each layer. */
const SLOT_BYTES = 49_152;
const NUM_EXPERTS = 8 * numLayers;

const LIMITS = { maxRows: 16, maxTokensPerPlan: 64, quantumMs: Number.POSITIVE_INFINITY };
/** The demo model's own prompts, and such as are cut in chunks; greedy and drawn. */
const requests: GenerateRequest[] = [
  ...demoPrompts().slice(0, scale("expert-cap", 3, 10)),
  ...[20, 77].map((length) => randomIds(length, length)),
].map((prompt, i) => ({
  ...{ prompt, maxTokens: scale("expert-cap", 8, 32), ignoreEos: true },
  ...{ temperature: i % 2, seed: i },
}));

function demoPrompts(): number[][] {
  const file = fileURLToPath(new URL("../fixtures/demo-moe/prompts.json", import.meta.url));
  const { prompts } = JSON.parse(readFileSync(file, "utf8"));
  return prompts.map(({ promptTokenIds }: { promptTokenIds: number[] }) => promptTokenIds);
}

const idsOf = async ({ door }: Subject) =>
  (await Promise.all(requests.map((request) => ask(door, request)))).map(({ ids }) => ids);

let plain: Subject;
let expected: (readonly number[])[];

/** On the same device, so with the same pipelines. */
const openCapped = (experts: EngineOptions["experts"], more: EngineOptions = {}) =>
  open({ ...LIMITS, ...more, experts }, plain.engine.device);

/** What comes and goes is the host's business: lavapipe and the reference device show it in the gate. */
const WHEN = "on SwiftShader in soak: what comes and goes is the host's business";
const some = describe.skipIf(project() === "swiftshader" && !isSoak);

beforeAll(async () => {
  if (project() === "swiftshader" && !isSoak) return;
  plain = await open(LIMITS);
  expected = await idsOf(plain);
}, 300_000);
afterAll(() => plain?.door.close());

const cases = [25, 50, 75].flatMap((percent) =>
  evictions.map((eviction, i) => ({ percent, eviction, isInGate: percent === 25 * (i + 1) })),
);

some(`answers do not change (${WHEN})`, () => {
  test.each(cases.filter(({ isInGate }) => isSoak || isInGate))(
    "$percent % of the experts, $eviction",
    async ({ percent, eviction }) => {
      const memoryBytes = Math.floor((SLOT_BYTES * NUM_EXPERTS * percent) / 100);
      const createBuffer = vi.spyOn(plain.engine.device, "createBuffer");
      const { engine, door, steps } = await openCapped({ memoryBytes, eviction });
      const pools = createBuffer.mock.calls.filter(([label]) => label.startsWith("experts_"));
      const poolBytes = pools.reduce((sum, [, bytes]) => sum + bytes, 0);
      expect(poolBytes).toBeLessThanOrEqual(memoryBytes);
      expect(poolBytes).toBeGreaterThan(memoryBytes - SLOT_BYTES);
      createBuffer.mockClear();

      expect(await idsOf({ door, engine, steps })).toEqual(expected);

      expect(createBuffer, "buffers while answering").not.toHaveBeenCalled();
      createBuffer.mockRestore();
      const metrics = (await engine.metrics()).experts!;
      expect(metrics).toMatchObject({ poolBytes, slots: poolBytes / SLOT_BYTES });
      const waitedFor = metrics.uploads - metrics.uploadsAhead;
      expect(metrics.hitRate).toBeCloseTo(1 - waitedFor / metrics.needed);
      expect(metrics.uploadedBytes).toBe(metrics.uploads * SLOT_BYTES);
      expect(metrics.uploads, "some had to make room").toBeGreaterThan(metrics.slots);
      report("expert-cap", { percent, eviction, ...metrics, hottest: metrics.hottest.slice(0, 8) });
    },
    600_000,
  );

  test("room for all: each has its place, and nothing comes and goes", async () => {
    const { engine } = await openCapped({ memoryBytes: SLOT_BYTES * NUM_EXPERTS });
    expect((await engine.metrics()).experts).toBeUndefined();
    expect(engine.plan.weightBytes).toBe(plain.engine.plan.weightBytes);
  });

  test("room for one token alone, the hottest pinned", async () => {
    const room = (slots: number) => ({ memoryBytes: slots * SLOT_BYTES });
    const first = await openCapped(room(2));
    expect(await idsOf(first)).toEqual(expected);
    const pinned = (await first.engine.metrics()).experts!.hottest.slice(0, 3);
    const bring = vi.spyOn(ExpertPool.prototype, "bring");
    const second = await openCapped({ ...room(5), pinned: [...pinned, pinned[0]] });
    expect((await second.engine.metrics()).experts).toMatchObject({ uploads: 3, needed: 0 });
    expect(await idsOf(second)).toEqual(expected);
    const names = bring.mock.calls.map(([{ layer, expert }]) => `${layer}/${expert}`);
    bring.mockRestore();
    const uploadsOf = ({ layer, expert }: ExpertId) =>
      names.filter((name) => name === `${layer}/${expert}`);
    expect(pinned.map(uploadsOf).map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(names.length).toBeGreaterThan(3);
  }, 600_000);
});

some(`a prompt's bytes (${WHEN})`, () => {
  const [length, chunk] = isSoak ? [1024, 256] : [160, 40];
  const memoryBytes = 10 * SLOT_BYTES;
  const prompt = randomIds(length, 1);
  const answer = async (more: EngineOptions) => {
    const { door, engine, steps } = await openCapped({ memoryBytes }, more);
    const { ids } = await ask(door, { prompt, maxTokens: 1, ignoreEos: true });
    const stages = steps.flatMap(({ plan }) => plan.rows.map((row) => row.stages));
    return { ids, stages, ...(await engine.metrics()).experts! };
  };

  test(`layered prefill of ${length} tokens uploads each expert once, chunks of ${chunk} again`, async () => {
    // Too short for all layers of the prompt, and long enough for the first of them.
    const sizes = { maxTokensPerPlan: length + LIMITS.maxRows, maxDraftTokens: 0 };
    const layered = await answer({ ...sizes, quantumMs: length / 300 });
    const chunked = await answer({ maxTokensPerPlan: chunk, cutBy: "tokens" });
    expect(layered.ids).toEqual(chunked.ids);
    expect(layered.stages.length, "cuts between layers").toBeGreaterThanOrEqual(numLayers);
    const minimum = layered.hottest.length * SLOT_BYTES;
    expect(layered.uploadedBytes / minimum).toBe(1);
    expect(chunked.uploadedBytes / minimum).toBeGreaterThan(2);
    report("expert-cap", {
      ...{ length, chunk, minimumBytes: minimum },
      layered: layered.uploadedBytes / minimum,
      chunked: chunked.uploadedBytes / minimum,
    });
  }, 600_000);
});

some(`refused (${WHEN})`, () => {
  const opened = (experts: object) => openCapped(experts as EngineOptions["experts"]);

  test("less than one token needs, with the least that will do", async () => {
    const tooLittle = opened({ memoryBytes: 2 * SLOT_BYTES - 1 });
    const { message } = await refused(tooLittle, "memory_budget_too_small");
    expect(message).toMatch(
      new RegExp(`give at least ${2 * SLOT_BYTES}|take ${2 * SLOT_BYTES}: give`),
    );
  });

  test("less than one token needs besides the pinned", async () => {
    const pinned = [{ layer: 0, expert: 3 }];
    await refused(
      opened({ memoryBytes: 2 * SLOT_BYTES, pinned }),
      "memory_budget_too_small",
      /1 pinned/,
    );
  });

  test.each([
    [{ memoryBytes: -1 }, /memoryBytes is -1/],
    [{ memoryBytes: Number.NaN }, /memoryBytes is NaN/],
    [{ memoryBytes: 1e6, hostBytes: -5 }, /hostBytes is -5/],
    [{ memoryBytes: 1e6, eviction: "random" }, /one of decayed, lfu, lru/],
    [{ memoryBytes: 1e6, pinned: [{ layer: 0, expert: 8 }] }, /expert 8 of layer 0/],
    [{ memoryBytes: 1e6, pinned: [{ layer: 9, expert: 0 }] }, /expert 0 of layer 9/],
  ])("%o", async (experts, message) => {
    await refused(opened(experts), "bad_request", message);
  });

  test("a model without experts", async () => {
    const dense = opener({ platform: nodePlatform, folder: demoFolder(), device });
    await refused(dense({ experts: { memoryBytes: 1e6 } }), "bad_request", /no experts/);
  });
});
