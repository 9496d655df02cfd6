// A model calibrated and used by what was found, on the reference device: three layers of the demo model.

import { beforeAll, describe, expect, test } from "vitest";
import { type Calibration, calibrate } from "../../../runtime/calibration/calibrate.ts";
import { readTasks } from "../../../runtime/calibration/task-accuracy.ts";
import { Engine } from "../../../runtime/engine.ts";
import type { EngineOptions } from "../../../runtime/engine-options.ts";
import { WeftError } from "../../../runtime/errors.ts";
import type { LayerPlanFile } from "../../../runtime/layer-plan-file.ts";
import type { LayerPolicy } from "../../../runtime/layer-policy.ts";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";
import { blobSource } from "../../../runtime/weights/byte-source.ts";
import { demoFolder } from "../../engine/node-model.ts";
import { shallowFolder } from "../../engine/shallow-folder.ts";

const NUM_LAYERS = 3;
const TOKENS = 16;
const TASKS = readTasks(
  [
    '{"messages":[{"role":"user","content":"20 - 19."}],"answer":"20 - 19 = 1"}',
    '{"prompt":"1","answer":"no such answer"}',
  ].join("\n"),
  "tasks",
);

const folder = shallowFolder(demoFolder("demo"), NUM_LAYERS);
const run = (options = {}) =>
  calibrate(new ReferenceDevice(), folder, { tokens: TOKENS, maxAnswerTokens: 4, ...options });

let found: Calibration;
const phases: string[] = [];
beforeAll(async () => {
  found = await run({
    tasks: TASKS,
    onProgress: ({ phase, done, total }: { phase: string; done: number; total: number }) => {
      expect(done).toBeLessThanOrEqual(total);
      if (phases.at(-1) !== phase) phases.push(phase);
    },
  });
}, 120_000);

describe("what is found", () => {
  test("the whole model first, what changes no token, then plans that run less and less", () => {
    const { policies, layers } = found;
    expect(layers).toBe(NUM_LAYERS);
    const lossless = policies.filter((policy) => policy.lossless);
    expect(lossless.map(({ name }) => name)).toEqual(["full", "self-speculation", "prompt-lookup"]);
    for (const { kl, top1Agreement, layersExecuted } of lossless) {
      expect({ kl, top1Agreement, layersExecuted }).toEqual({
        ...{ kl: 0, top1Agreement: 1, layersExecuted: NUM_LAYERS },
      });
    }
    // Of so few tokens none is sure enough to leave off.
    expect(found.file.exits).toBeUndefined();
    const lossy = policies.slice(lossless.length);
    expect(lossy.length).toBeGreaterThan(0);
    lossy.forEach(({ name, kl, top1Agreement, layersExecuted }, i) => {
      expect(name).toBe(`skip-${2 * (NUM_LAYERS - layersExecuted)}`);
      expect(layersExecuted).toBeLessThan(i === 0 ? NUM_LAYERS : lossy[i - 1].layersExecuted);
      // A Pareto front: whoever runs less is further off.
      expect(kl).toBeGreaterThan(i === 0 ? 0 : lossy[i - 1].kl);
      expect(top1Agreement).toBeLessThan(1);
    });
    for (const { decodeTokPerS } of policies) expect(decodeTokPerS).toBeGreaterThan(0);
  });

  test("sublayers with their influence, of which the last MLP is not measured", () => {
    const names = found.influence.map(({ kind, layer }) => `${kind} ${layer}`);
    expect(names).toEqual(["attention 0", "mlp 0", "attention 1", "mlp 1", "attention 2"]);
    for (const { influence } of found.influence) {
      expect(influence).toBeGreaterThan(0);
      expect(influence).toBeLessThan(2);
    }
  });

  test("two to four drafts, which leave something out and promise most first", () => {
    const { drafts, file } = found;
    expect(drafts.length).toBeGreaterThanOrEqual(2);
    expect(drafts.length).toBeLessThanOrEqual(4);
    expect(file.drafts).toEqual(drafts.map(({ plan }) => plan));
    const speedups = drafts.map(({ expectedSpeedup }) => expectedSpeedup);
    expect(speedups).toEqual(speedups.toSorted((a, b) => b - a));
  });

  test("accuracy of tasks, with its interval", () => {
    for (const { tasks } of found.policies) {
      expect(tasks).toMatchObject({ tasks: 2, accuracy: expect.any(Number) });
      const [low, high] = tasks!.interval;
      expect(low).toBeLessThanOrEqual(tasks!.accuracy);
      expect(high).toBeGreaterThanOrEqual(tasks!.accuracy);
      // Two tasks tell next to nothing.
      expect(high - low).toBeGreaterThan(0.5);
    }
    expect(phases).toEqual([
      ...["texts", "influence", "removals", "plans", "drafts", "exits", "speeds", "tasks"],
    ]);
  });

  test("again, the same file to the byte", async () => {
    const again = await run({ tasks: TASKS });
    expect(JSON.stringify(again.file)).toBe(JSON.stringify(found.file));
  }, 60_000);
});

describe("an engine", () => {
  async function idsBy(
    layerPolicy: LayerPolicy | undefined,
    options: EngineOptions = { layerPlanFile: found.file },
    of: ModelFolder = folder,
  ) {
    const engine = await Engine.load({ device: new ReferenceDevice(), folder: of }, options);
    try {
      const ids: number[] = [];
      const request = { prompt: "A story", temperature: 0, maxTokens: 12, ignoreEos: true };
      for await (const { tokenIds } of engine.generate({ ...request, layerPolicy })) {
        ids.push(...tokenIds);
      }
      return ids;
    } finally {
      await engine.close();
    }
  }

  test("runs a plan by its name", async () => {
    const [{ name, plan }] = found.file.plans;
    const byName = await idsBy({ name: "static", plan: name });
    expect(byName).toEqual(await idsBy({ name: "static", plan }));
  });

  test("drafts with the drafts that were found, and says what the whole model says", async () => {
    const drafted: string[] = [];
    const ids = await idsBy(
      { name: "self-speculation", always: true },
      {
        layerPlanFile: found.file,
        onPlan: ({ rows }) => {
          for (const { kind, layerPlan } of rows)
            if (kind === "draft") drafted.push(layerPlan!.hash);
        },
      },
    );
    expect(ids).toEqual(await idsBy(undefined));
    // By stage, as the file says: embedding, attention and MLP of each layer, head.
    const hashes = found.file.drafts.map(({ skip = [], skipAttention = [], skipMlp = [] }) => {
      const stages = Array.from({ length: NUM_LAYERS }, (_, layer) => [
        [...skip, ...skipAttention].includes(layer) ? "0" : "1",
        [...skip, ...skipMlp].includes(layer) ? "0" : "1",
      ]);
      return ["1", ...stages.flat(), "1"].join("");
    });
    expect(drafted.length).toBeGreaterThan(0);
    for (const hash of drafted) expect(hashes).toContain(hash);
  });

  test("finds layer-plans.json in the model's folder", async () => {
    const [{ name, plan }] = found.file.plans;
    const ids = await idsBy({ name: "static", plan: name }, {}, withFile(found.file));
    expect(ids).toEqual(await idsBy({ name: "static", plan }));
  });

  test("refuses a file of other weights, and of another quantisation", async () => {
    const other = { ...found.file, weights: "0".repeat(64) };
    await refused(idsBy(undefined, { layerPlanFile: other }), /layerPlanFile: weights is "0000/);
    await refused(
      idsBy(undefined, { layerPlanFile: found.file, quant: "q8" }),
      /quant is "none", the model is loaded with q8/,
    );
    const deeper = shallowFolder(demoFolder("demo"), NUM_LAYERS + 1);
    await refused(
      idsBy(undefined, { layerPlanFile: found.file }, deeper),
      /weights is .*of others/,
    );
  });

  test("loads beside a file that is none of its own, and refuses it once it is asked for", async () => {
    const [{ name }] = found.file.plans;
    const other = withFile({ ...found.file, weights: "ab" });
    await expect(idsBy(undefined, {}, other)).resolves.toHaveLength(12);
    const named = { name: "static", plan: name } as const;
    await refused(idsBy(named, {}, other), /layer-plans\.json: weights is "ab"/);
    await refused(idsBy(named, {}, withFile("<html>")), /layer-plans\.json is not valid JSON/);
  });

  test("knows the names of its plans", async () => {
    const error = idsBy({ name: "static", plan: "skip-99" });
    await refused(error, /plan is "skip-99", this engine knows skip-1/, "bad_request");
    await refused(idsBy({ name: "static", plan: "skip-1" }, {}), /knows none;/, "bad_request");
  });
});

function withFile(file: LayerPlanFile | string): ModelFolder {
  const text = typeof file === "string" ? file : JSON.stringify(file);
  return {
    ...folder,
    open: async (name, signal) =>
      name === "layer-plans.json"
        ? blobSource(new Blob([text]), `demo/${name}`)
        : folder.open(name, signal),
  };
}

async function refused(work: Promise<unknown>, message: RegExp, code = "bad_file") {
  const error = await work.catch((thrown) => thrown);
  expect(error).toBeInstanceOf(WeftError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
}
