// Routers of layers: what they decide by the prompt is what the answer runs, in any company; and the ids
// are those of the same layers as a static plan.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LAYER_DECISIONS } from "../../kernels/layer-router.ts";
import { stagesOf } from "../../models/layer-plan.ts";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { RUN_SKIP_REPEAT, routersFolder } from "./router-folder.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const NUM_LAYERS = 3;
const ROUTERS: LayerPolicy = { name: "routers" };
const device = project() === "reference" ? "reference" : "gpu";

const byPrompt = {
  weights: 0.4,
  biases: [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ],
} as const;

const models = ["demo", "demo-moe"] as const;

describe.each(project() === "swiftshader" ? models.slice(0, 1) : models)("%s", (name) => {
  const open = opener({
    platform: nodePlatform,
    folder: shallowFolder(demoFolder(name), NUM_LAYERS),
    device,
  });
  let decided: Subject;
  let varied: Subject;
  beforeAll(async () => {
    const shared = await openDevice();
    const sizes = { maxTokensPerPlan: 64, maxRows: 8 };
    decided = await open({ ...sizes, layerRouters: routersFolder(RUN_SKIP_REPEAT) }, shared);
    varied = await open({ ...sizes, layerRouters: routersFolder(byPrompt) }, shared);
  }, 240_000);
  afterAll(() => decided?.engine.close());

  const request = (length: number, seed: number) => ({
    ...{ prompt: randomIds(length, seed), maxTokens: 6, temperature: 0, ignoreEos: true },
  });

  /** Layers by what the newest row of a sequence runs of them: 0, 1 or 2 times. */
  function decisionsOf({ engine, steps }: Subject, numPromptTokens: number): number[] {
    const row = steps
      .flatMap(({ plan }) => plan.rows)
      .findLast(({ tokens }) => tokens.from === numPromptTokens + 2)!;
    const times = new Array<number>(NUM_LAYERS).fill(0);
    stagesOf(engine.plan.spec).forEach(({ kind, layer }, stage) => {
      if (kind === "attention" && row.layerPlan!.runs[stage]) times[layer]! += 1;
    });
    return times;
  }

  const planOf = (times: readonly number[]) => {
    const of = (count: number) => [...times.keys()].filter((layer) => times[layer] === count);
    return { skip: of(0), repeat: of(2) };
  };

  test("one layer is run, one skipped and one repeated", async () => {
    const { ids, usage } = await ask(decided.door, { ...request(11, 1), layerPolicy: ROUTERS });
    expect(LAYER_DECISIONS).toEqual(["skip", "execute", "repeat"]);
    expect(decisionsOf(decided, 11)).toEqual([1, 0, 2]);
    expect(usage).toMatchObject({ layersExecuted: 3, lossy: true });
    const plan: LayerPolicy = { name: "static", plan: { skip: [1], repeat: [2] } };
    const same = await ask(decided.door, { ...request(11, 1), layerPolicy: plan });
    expect(ids).toEqual(same.ids);
    await settled(decided);
  });

  test("prompts differ in it, and answers are those of the same layers, at once as alone", async () => {
    const lengths = [3, 8, 21, 40, 5, 17];
    const alone = [];
    const plans = [];
    for (const [i, length] of lengths.entries()) {
      const { ids } = await ask(varied.door, { ...request(length, i), layerPolicy: ROUTERS });
      const plan = planOf(decisionsOf(varied, length));
      const layerPolicy: LayerPolicy = { name: "static", plan };
      expect((await ask(varied.door, { ...request(length, i), layerPolicy })).ids).toEqual(ids);
      alone.push(ids);
      plans.push(JSON.stringify(plan));
    }
    expect(new Set(plans).size).toBeGreaterThan(1);
    const plain = (await ask(varied.door, request(9, 50))).ids;
    const [beside, ...together] = await Promise.all([
      ask(varied.door, request(9, 50)),
      ...lengths.map((length, i) =>
        ask(varied.door, { ...request(length, i), layerPolicy: ROUTERS }),
      ),
    ]);
    expect(together.map(({ ids }) => ids)).toEqual(alone);
    expect(beside.ids).toEqual(plain);
    await settled(varied);
  });

  test("a prompt that no plan holds decides by what one holds", async () => {
    const asked = { ...request(100, 9), layerPolicy: ROUTERS };
    const { ids } = await ask(varied.door, asked);
    expect((await ask(varied.door, asked)).ids).toEqual(ids);
    await settled(varied);
  });

  test("several answers, or an engine without routers, are refused", async () => {
    const several = ask(varied.door, { ...request(5, 1), n: 2, layerPolicy: ROUTERS });
    await refused(several, "bad_request", /n is 2, it must be 1 beside the layer policy routers/);
  });
});
