// Tokens that leave off before the last layers, where they are sure of what comes next: alone and in any
// company the same bits, and those of a plan that leaves out the same layers.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { type Answered, ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { type OpenEngine, opener, type Subject } from "./subject.ts";

const NUM_LAYERS = 4;
const SIZES = { maxTokensPerPlan: 64, maxRows: 4 } as const;
const exits = (threshold: number, rest: object = {}): LayerPolicy => {
  return { name: "early-exit", exits: [1, 2, 3], threshold, ...rest };
};
/** What a shallow model says is nonsense, of which it is sure now and then. */
const NOW_AND_THEN = 0.6;
const POLICIES: readonly (LayerPolicy | undefined)[] = [
  exits(NOW_AND_THEN),
  exits(0.5, { exits: [2] }),
  undefined,
  exits(NOW_AND_THEN),
];
const visible = ({ ids, logprobs }: Answered) => ({ ids, logprobs });
const layersOf = ({ usage }: Answered): number => usage.layersExecuted!;

const request = (i: number, layerPolicy = POLICIES[i]) => ({
  ...{ prompt: randomIds(7 + 11 * i, i + 1), maxTokens: 14 + 2 * i, ignoreEos: true },
  ...{ seed: i, temperature: [0, 1][i % 2], topLogprobs: 2, layerPolicy },
});

// Experts take nothing of how rows leave off: once is enough for them.
const models = project() === "reference" ? (["demo", "demo-moe"] as const) : (["demo"] as const);

// Their kernels run on SwiftShader in test/kernels; layers and rows are packed there elsewhere.
const isRun = project() !== "swiftshader" || scale("speculation", 0, 1) === 1;
const WHEN = "on SwiftShader in soak: test/kernels has its kernels there";
describe.skipIf(!isRun).each(models)(`%s (${WHEN})`, (name) => {
  let open: OpenEngine;
  let subject: Subject;
  beforeAll(async () => {
    const device = project() === "reference" ? "reference" : "gpu";
    const folder = shallowFolder(demoFolder(name), NUM_LAYERS);
    open = opener({ platform: nodePlatform, folder, device });
    subject = await open(SIZES, await openDevice());
  }, 240_000);
  afterAll(() => subject?.engine.close());

  const atOnce = (of: Subject) =>
    Promise.all(POLICIES.map((_, i) => ask(of.door, request(i)))).then((all) => all.map(visible));

  test("alone, at once and taken back: the same bits", async () => {
    const alone: Answered[] = [];
    for (const i of POLICIES.keys()) alone.push(await ask(subject.door, request(i)));
    for (const i of [0, 1, 3]) {
      expect(layersOf(alone[i]!)).toBeLessThan(NUM_LAYERS);
      expect(layersOf(alone[i]!)).toBeGreaterThan(1.2);
    }
    expect(await atOnce(subject)).toEqual(alone.map(visible));
    await settled(subject);
    const forced = await open({ ...SIZES, forcePreemptionEvery: 9 }, subject.engine.device);
    expect(await atOnce(forced)).toEqual(alone.map(visible));
    expect((await forced.engine.metrics()).total.preemptions).toBeGreaterThan(0);
    await settled(forced);
  }, 120_000);

  test("who leaves at once has the bits of a plan that leaves the layers out", async () => {
    const plan = { skip: [2, 3] };
    const static_: LayerPolicy = { name: "temporal", plan, period: 1_000_000 };
    const fresh = await open(SIZES, subject.engine.device);
    const left = await ask(fresh.door, request(3, exits(1e-6, { exits: [2] })));
    expect((await fresh.engine.metrics()).recent.layersPerStep.p50).toBe(2);
    const skipped = await ask(subject.door, request(3, static_));
    expect(visible(left)).toEqual(visible(skipped));
    expect(layersOf(left)).toBe(layersOf(skipped));
    expect(left.usage.lossy).toBe(true);
  });

  test("the surer a token must be, the more layers it runs", async () => {
    const layers: number[] = [];
    for (const threshold of [1e-6, NOW_AND_THEN, 1])
      layers.push(layersOf(await ask(subject.door, request(0, exits(threshold)))));
    expect(layers).toEqual(layers.toSorted((a, b) => a - b));
    expect(layers[0]).toBeLessThan(1.3);
    expect(layers[2]).toBeGreaterThan(layers[0]! + 1);
  });

  test("by consensus all of a step leave off, or none", async () => {
    const together = exits(NOW_AND_THEN, { consensus: true });
    const alone: Answered[] = [];
    for (const i of [0, 2, 3]) alone.push(await ask(subject.door, request(i, together)));
    const own = await ask(subject.door, request(0));
    expect(visible(alone[0]!)).toEqual(visible(own));
    const beside = await Promise.all([0, 2, 3].map((i) => ask(subject.door, request(i, together))));
    const sum = (all: readonly Answered[]) => all.reduce((n, one) => n + layersOf(one), 0);
    expect(sum(beside)).toBeGreaterThan(sum(alone) + 0.5);
  });
});

test("is refused where experts come and go", async () => {
  const folder = shallowFolder(demoFolder("demo-moe"), 2);
  const open = opener({ platform: nodePlatform, folder, device: "reference" });
  const { door } = await open({ ...SIZES, experts: { memoryBytes: 200_000 } });
  await refused(ask(door, request(0)), "bad_request", /early-exit needs all experts in memory/);
  await door.close();
});
