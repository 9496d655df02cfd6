// What layer plans and drafts cost, counted: dispatches, rows of matrices, and bytes of weights and of
// the KV cache, as the kernels' own costs have them (which other tests compare with what shaders load).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KernelCall } from "../../kernels/kernel.ts";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { EngineOptions } from "../../runtime/engine-options.ts";
import { groupBlockBytes } from "../../runtime/kv-cache.ts";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";
import { type MeteredStep, StepMeter } from "../../runtime/step-meter.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { ask, randomIds } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

const once = describe.skipIf(project() === "swiftshader");
const plan = (spec: object): LayerPolicy => ({ name: "static", plan: spec });

async function open(
  numLayers: number | undefined,
  options: Partial<EngineOptions> = {},
): Promise<{ engine: Engine; meter: StepMeter }> {
  const meter = new StepMeter(await openDevice());
  const folder = demoFolder();
  const engine = await createEngineWith(nodePlatform, {
    ...{ model: numLayers ? shallowFolder(folder, numLayers) : folder, device: meter.device },
    ...{ onPlan: meter.onPlan, prefixCache: false, ...options },
  });
  return { engine, meter };
}

const isDecode =
  (numRows: number) =>
  ({ plan: { rows } }: MeteredStep): boolean =>
    rows.length === numRows && rows.every(({ tokens }) => tokens.to - tokens.from === 1);

/** Answers at once, one for each policy; the steps in which all decode. */
async function decode(
  { engine, meter }: Awaited<ReturnType<typeof open>>,
  policies: readonly (LayerPolicy | undefined)[],
  maxTokens = 12,
  promptTokens = 6,
): Promise<MeteredStep[]> {
  meter.take();
  const asked = policies.map((layerPolicy, i) =>
    ask(engine, {
      prompt: randomIds(promptTokens, i + 1),
      maxTokens,
      temperature: 0,
      layerPolicy,
      ignoreEos: true,
    }),
  );
  await Promise.all(asked);
  return meter.take().filter(isDecode(policies.length));
}

const ofLayer = (calls: readonly KernelCall[], layer: number) =>
  calls.filter(({ label }) => label?.startsWith(`layer ${layer} `));

/** Of a binding, over calls. */
const bytesOf = (calls: readonly KernelCall[], binding: string): number =>
  calls.reduce((sum, { kernel, dims }) => sum + (kernel.cost(dims).bytes[binding] ?? 0), 0);

once("a layer plan (counts are the host's: SwiftShader adds nothing)", () => {
  let opened: Awaited<ReturnType<typeof open>>;
  /** Layers 0 and 2 have block tables of their own. */
  const saved = { skipAttention: [0, 2] };
  beforeAll(async () => {
    opened = await open(3, { layerPlans: [saved] });
  }, 120_000);
  afterAll(() => opened?.engine.close());

  test("what all leave out takes no dispatch and reads no weight", async () => {
    const [whole] = await decode(opened, [undefined, undefined]);
    const [skipped] = await decode(opened, [plan({ skip: [1] }), plan({ skip: [1] })]);
    expect((await opened.engine.metrics()).recent.layersPerStep).toMatchObject({ p50: 2, p99: 3 });
    const layer = ofLayer(whole.calls, 1);
    expect(layer.length).toBeGreaterThan(0);
    expect(ofLayer(skipped.calls, 1)).toEqual([]);
    expect(skipped.dispatches).toBe(whole.dispatches - layer.length);
    expect(bytesOf(skipped.calls, "weight")).toBe(
      bytesOf(whole.calls, "weight") - bytesOf(layer, "weight"),
    );
  });

  test("what one leaves out has no row in a matrix", async () => {
    const [mixed] = await decode(opened, [plan({ skipMlp: [0] }), undefined, plan({ skip: [1] })]);
    const rowsOf = (layer: number, stage: string) => {
      const calls = ofLayer(mixed.calls, layer).filter(({ label }) => label?.endsWith(stage));
      return new Set(
        calls.filter(({ kernel }) => /^matmul/.test(kernel.name)).map((c) => c.dims.T),
      );
    };
    expect(rowsOf(0, "attention")).toEqual(new Set([3]));
    expect(rowsOf(0, "mlp")).toEqual(new Set([2]));
    expect(rowsOf(1, "attention")).toEqual(new Set([2]));
    expect(rowsOf(2, "mlp")).toEqual(new Set([3]));
  });

  test("attention that a plan never runs keeps nothing", async () => {
    const { kv } = opened.engine.plan;
    const held = async (policy: LayerPolicy | undefined) => {
      const steps = await decode(opened, [policy], 70);
      const { blockTables } = steps.at(-1)!.plan.rows[0];
      return kv.groups.reduce(
        (sum, group, i) =>
          sum + blockTables[i].filter((block) => block > 0).length * groupBlockBytes(group),
        0,
      );
    };
    const [whole, kept] = [await held(undefined), await held(plan(saved))];
    expect(whole).toBeGreaterThan(0);
    expect(kept).toBeCloseTo(whole / 3, -Math.log10(0.02 * whole));
  });

  test("tokens that take turns keep what they run, and load what they keep", async () => {
    const left = { skipAttention: [0, 2], skipMlp: [1] };
    const temporal = (cache: "fill" | "hole"): LayerPolicy => {
      return { name: "temporal", plan: left, period: 2, cache };
    };
    const { kv } = opened.engine.plan;
    // Both ways whole blocks: 32 tokens of the prompt, then 64, or every second of them.
    const answer = { numTokens: 65, promptTokens: 32 };
    const held = ({ plan: { rows } }: MeteredStep) =>
      kv.groups.reduce(
        (sum, group, i) => sum + rows[0].blockTables[i].length * groupBlockBytes(group),
        0,
      );
    const [whole, fill, hole] = [
      await decode(opened, [undefined], answer.numTokens, answer.promptTokens),
      await decode(opened, [temporal("fill")], answer.numTokens, answer.promptTokens),
      await decode(opened, [temporal("hole")], answer.numTokens, answer.promptTokens),
    ];
    const [all, filled, holed] = [whole, fill, hole].map((steps) => held(steps.at(-1)!));
    expect(filled).toBe(all);
    // Of three layers two leave every second of 64 tokens out.
    const saved = (2 / 3) * (32 / 96);
    report("speculation", { cacheBytes: { whole: all, fill: filled, hole: holed } });
    expect(Math.abs((all - holed) / all / saved - 1)).toBeLessThan(0.02);
    const attention = ({ calls }: MeteredStep) =>
      calls.filter(({ label }) => label === "layer 0 attention").map(({ kernel }) => kernel.name);
    // The first token behind the prompt runs all, the second leaves out.
    expect(attention(fill[0])).toEqual(attention(whole[0]));
    expect(attention(hole[1])).toEqual([]);
    const filling = attention(fill[1]);
    expect(filling.length).toBeGreaterThan(0);
    expect(filling.some((name) => name.startsWith("attention"))).toBe(false);
    expect(bytesOf(hole[1].calls, "weight")).toBeLessThan(bytesOf(fill[1].calls, "weight"));
    expect(bytesOf(fill[1].calls, "weight")).toBeLessThan(0.8 * bytesOf(whole[1].calls, "weight"));
  });

  test("rows that each leave out another layer read all weights: only what all leave out is saved", async () => {
    const [whole] = await decode(opened, [undefined, undefined, undefined]);
    const plans = [0, 1, 2].map((layer) => plan({ skip: [layer] }));
    const [each] = await decode(opened, plans);
    const [same] = await decode(opened, [plans[1], plans[1], plans[1]]);
    const weights = [whole, each, same].map(({ calls }) => bytesOf(calls, "weight"));
    report("speculation", {
      weightBytesOfThree: { whole: weights[0], each: weights[1], same: weights[2] },
    });
    expect(weights[1]).toBe(weights[0]);
    expect(weights[2]).toBeLessThan(0.8 * weights[0]);
  });
});

const DRAFTS = scale("speculation", 24, 200);

once("drafting, by the whole demo model (SwiftShader takes minutes)", () => {
  let opened: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    opened = await open(undefined);
  }, 240_000);
  afterAll(() => opened?.engine.close());

  /** Weights and cache, by token of the answer behind the first. */
  async function bytesPerToken(prompt: string, layerPolicy?: LayerPolicy) {
    const { engine, meter } = opened;
    meter.take();
    const messages = [{ role: "user", content: prompt }];
    const { template, tokenizer } = engine.text;
    const ids = tokenizer.encode(template.render({ messages }), { addSpecialTokens: false });
    const before = (await engine.metrics()).total;
    const answer = await ask(engine, {
      prompt: ids,
      maxTokens: DRAFTS,
      temperature: 0,
      layerPolicy,
    });
    const { total } = await engine.metrics();
    const steps = meter.take().filter(({ plan: { rows } }) => rows[0].tokens.from >= ids.length);
    // What was sampled beyond the end is the host's lateness, of plain decoding alone.
    const wanted = steps.filter(({ plan: { rows } }) => {
      return rows[0].tokens.from < ids.length + answer.ids.length - 1;
    });
    const calls = wanted.flatMap((step) => step.calls);
    const drafted = total.draftedTokens - before.draftedTokens;
    const accepted = total.acceptedTokens - before.acceptedTokens;
    const rounds = total.draftRounds - before.draftRounds;
    const bytes = bytesOf(calls, "weight") + bytesOf(calls, "kv_pool");
    return { ids: answer.ids, drafted, accepted, rounds, bytes: bytes / (answer.ids.length - 1) };
  }

  const asked = ["Tell me a story about a fox named Lily.", "What is 47 + 38?"];
  test.each(asked)("%s", async (prompt) => {
    const plain = await bytesPerToken(prompt);
    const drafts = await bytesPerToken(prompt, {
      name: "self-speculation",
      draft: { skipAttention: [5], skipMlp: [4, 5, 6], skip: [7] },
      maxDraftTokens: 4,
      always: true,
    });
    const { ids, ...figures } = drafts;
    report("speculation", { prompt, plain: plain.bytes, ...figures });
    expect(ids).toEqual(plain.ids);
    expect(drafts.bytes).toBeLessThan(plain.bytes);
  });
});
