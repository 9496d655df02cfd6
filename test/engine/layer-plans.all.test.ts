// Layer plans: whoever leaves layers out, or runs some twice, has in any company the bits that it has
// alone; and a plan that leaves nothing out is no plan.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import { layerGroups } from "../../models/decoder.ts";
import { type LayerPlanSpec, stagePlan } from "../../models/layer-plan.ts";
import { type LoadedModel, loadModel } from "../../runtime/load-model.ts";
import type { LayerPlan } from "../../scheduler/work-plan.ts";
import { openDevice, profiles } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { demoFolder } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { type Placed, type PlacedRange, tokenBits } from "./token-bits.ts";

const BLOCK_TOKENS = 32;
const NUM_LAYERS = 3;

/** One that runs everything, one without an MLP at the end, one that skips a layer, one that repeats. */
const PLANS: readonly LayerPlanSpec[] = [
  {},
  { skipAttention: [0], skipMlp: [2] },
  { skip: [1] },
  { skipAttention: [2], repeat: [1] },
];

// On SwiftShader layer-routers.all.test.ts packs rows; and plans choose calls, whichever the driver.
const isRun = project() !== "swiftshader" || scale("layer-plans", 0, 1) === 1;

describe.skipIf(!isRun).each(["demo", "demo-moe"] as const)(
  "%s (on SwiftShader in soak: plans choose calls, whichever the driver)",
  (name) => {
    let model: LoadedModel;
    let plans: LayerPlan[];
    beforeAll(async () => {
      const device = await openDevice(profiles()[0]);
      model = await loadModel(device, shallowFolder(demoFolder(name), NUM_LAYERS), {
        layerPlans: PLANS,
        maxTokensPerPlan: 64,
        maxRows: 4,
        maxLogitRows: 64,
        blockTokens: BLOCK_TOKENS,
      });
      await device.prepare(model.runner.pipelines);
      const { spec } = model.plan;
      plans = PLANS.map((plan) => stagePlan(spec, layerGroups(spec), plan));
    }, 240_000);
    afterAll(() => model?.runner.device.destroy());

    test("four plans in one step: each row as it is alone, bit for bit", async () => {
      const sequences = PLANS.map((_, i) => placed(model, [40, 35, 37, 33][i], i));
      const range = (i: number, from: number, to = sequences[i].ids.length): PlacedRange => ({
        ...{ sequence: sequences[i], tokens: { from, to }, layerPlan: plans[i] },
      });
      const mixed = [
        // Prompts, of which one is cut; then prompts beside answers; then answers.
        [range(0, 0, 20), range(1, 0, 15), range(2, 0, 12), range(3, 0, 9)],
        [range(1, 15, 16), range(3, 9, 30), range(0, 20, 21), range(2, 12, 34)],
        [range(2, 34, 35), range(0, 21), range(3, 30, 31), range(1, 16)],
        [range(3, 31), range(2, 35)],
      ];
      for (const [i, sequence] of sequences.entries()) {
        const alone = await tokenBits(model, sequence, [[range(i, 0)]]);
        const among = await tokenBits(model, sequence, mixed);
        for (const [position, bits] of alone.entries())
          expect(among[position], `plan ${i}, position ${position}`).toEqual(bits);
      }
    });

    test("a plan that leaves nothing out is no plan", async () => {
      const sequence = placed(model, 20, 0);
      const steps = (layerPlan: LayerPlan) =>
        [0, 7, 19].map((from, i) => [
          { sequence, tokens: { from, to: [7, 19, 20][i] }, layerPlan } as const,
        ]);
      const bits = await tokenBits(model, sequence, steps(plans[0]));
      const bare = await loadBare(name);
      const own = await tokenBits(
        bare,
        { ...sequence, tables: sequence.tables.slice(0, 1) },
        steps(plans[0]).map(([{ sequence: of, tokens }]) => [
          { sequence: { ...of, tables: of.tables.slice(0, 1) }, tokens },
        ]),
      );
      bare.runner.device.destroy();
      for (const [position, words] of own.entries())
        expect(logitsOf(model, bits[position])).toEqual(logitsOf(model, words));
    });
  },
);

const logitsOf = ({ plan }: LoadedModel, words: Uint32Array) => words.slice(0, plan.spec.vocabSize);

async function loadBare(name: "demo" | "demo-moe"): Promise<LoadedModel> {
  const device = await openDevice(profiles()[0]);
  const model = await loadModel(device, shallowFolder(demoFolder(name), NUM_LAYERS), {
    ...{ maxTokensPerPlan: 64, maxRows: 4, maxLogitRows: 64, blockTokens: BLOCK_TOKENS },
  });
  await device.prepare(model.runner.pipelines);
  return model;
}

/** Blocks of its own in every group, whether its plan keeps anything there or not. */
function placed({ plan }: LoadedModel, numTokens: number, index: number): Placed {
  const random = seededRandom(index + 1);
  const ids = Array.from({ length: numTokens }, () => 9 + Math.floor(random() * 1000));
  const numBlocks = Math.ceil(numTokens / BLOCK_TOKENS);
  const blocks = Array.from({ length: numBlocks }, (_, i) => 1 + 2 * index + i);
  return { ids, tables: plan.kv.groups.map(() => blocks) };
}
