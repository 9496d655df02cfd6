// Expert-specialised adapters over one base: each request gets the ids of the model that was tuned as a
// whole, whoever else is in the step, and nothing of one adapter's cache serves another.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { numberToBf16 } from "../../kernels/half.ts";
import { seededRandom } from "../../kernels/probe.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { blobSource } from "../../runtime/weights/byte-source.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { safetensorsFile, type TensorSpec } from "../runtime/weights/safetensors-file.ts";
import { ask, randomIds, refused } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const device = project() === "reference" ? "reference" : "gpu";
const base = shallowFolder(demoFolder("demo-moe"), 2);

/** [rows, columns] of an expert's matrices. */
const SHAPES = { gate_proj: [64, 128], up_proj: [64, 128], down_proj: [128, 64] } as const;
type Experts = Readonly<Record<string, readonly number[]>>;

function tensorsOf(experts: Experts, seed: number): Record<string, TensorSpec> {
  const random = seededRandom(seed);
  const tensors: Record<string, TensorSpec> = {};
  for (const [layer, ids] of Object.entries(experts)) {
    for (const [name, shape] of ids.flatMap((id) =>
      Object.entries(SHAPES).map(([kind, of]) => [`${id}.${kind}`, of] as const),
    )) {
      const values = Uint16Array.from({ length: shape[0] * shape[1] }, () =>
        numberToBf16((random() - 0.5) / 2),
      );
      const bytes = new Uint8Array(values.buffer);
      tensors[`model.layers.${layer}.mlp.experts.${name}.weight`] = { dtype: "BF16", shape, bytes };
    }
  }
  return tensors;
}

const file = (name: string, content: BlobPart) => blobSource(new Blob([content]), name);

function adapterFolder(experts: Experts, seed: number, more = {}): ModelFolder {
  const config = { experts, shared_experts: false, non_expert_modules: false, ...more };
  return {
    location: `adapter ${seed}`,
    open: async (name) => {
      if (name === "expert_cfg.json") return file(name, JSON.stringify(config));
      if (name === "model.safetensors")
        return file(name, safetensorsFile(tensorsOf(experts, seed)));
      return base.open(`${name}.missing`);
    },
  };
}

/** The base with the adapter's experts in the place of its own. */
function merged(experts: Experts, seed: number): ModelFolder {
  return {
    location: `merged ${seed}`,
    async open(name, signal) {
      const source = await base.open(name, signal);
      if (name !== "model.safetensors") return source;
      const bytes = await source.read(0, source.sizeBytes);
      await source.close?.();
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const dataAt = 8 + Number(view.getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, dataAt)));
      for (const [tensor, own] of Object.entries(tensorsOf(experts, seed))) {
        bytes.set(own.bytes, dataAt + header[tensor].data_offsets[0]);
      }
      return file(name, bytes);
    },
  };
}

const ADAPTERS: Readonly<Record<string, { experts: Experts; seed: number }>> = {
  law: { experts: { 0: [1, 6], 1: [0] }, seed: 1 },
  poems: { experts: { 1: [0, 3, 7, 4] }, seed: 2 },
};
const folders = Object.fromEntries(
  Object.entries(ADAPTERS).map(([name, { experts, seed }]) => [name, adapterFolder(experts, seed)]),
);
const LIMITS = { maxRows: 16, maxTokensPerPlan: 64, quantumMs: Number.POSITIVE_INFINITY };
const prompts = [4, 20, 90].map((length) => randomIds(length, length));
const answer = { maxTokens: 8, ignoreEos: true };

const idsOf = async ({ door }: Subject, adapter?: string) =>
  (await Promise.all(prompts.map((prompt) => ask(door, { prompt, adapter, ...answer })))).map(
    ({ ids }) => ids,
  );

// Whose expert a row takes is told by tables; the kernels that read them run on SwiftShader in experts.all.test.ts.
const WHEN = "on SwiftShader in soak: experts.all.test.ts has the kernels there";
const isRun = project() !== "swiftshader" || scale("experts", 0, 1) === 1;
describe.skipIf(!isRun)(`requests (${WHEN})`, () => {
  let adapted: Subject;
  const opened: Subject[] = [];

  beforeAll(async () => {
    adapted = await opener({ platform: nodePlatform, folder: base, device })({
      ...LIMITS,
      adapters: folders,
    });
    opened.push(adapted);
  }, 300_000);
  afterAll(async () => {
    for (const { door } of opened) await door.close();
  });

  test("each has the ids of the model that was tuned as a whole, all in one batch", async () => {
    const alone: (readonly number[])[][] = [];
    for (const folder of [
      base,
      ...Object.values(ADAPTERS).map((of) => merged(of.experts, of.seed)),
    ]) {
      const subject = await opener({ platform: nodePlatform, folder, device })(
        LIMITS,
        adapted.engine.device,
      );
      alone.push(await idsOf(subject));
    }
    const names = [undefined, ...Object.keys(ADAPTERS)];
    const together = await Promise.all(names.map((name) => idsOf(adapted, name)));
    expect(together).toEqual(alone);
    const [ofBase, ofLaw, ofPoems] = alone;
    expect(ofLaw, "an adapter that changes nothing would show nothing").not.toEqual(ofBase);
    expect(ofPoems).not.toEqual(ofLaw);
    const mixed = adapted.steps.some(
      ({ plan }) => plan.rows.length === names.length * prompts.length,
    );
    expect(mixed, "a step of all of them").toBe(true);
    // Their prompts are in the cache by now, each for its own adapter.
    const again = await Promise.all(names.map((name) => idsOf(adapted, name)));
    expect(again).toEqual(alone);
  }, 300_000);

  test("a name that the engine was not given", async () => {
    const asked = ask(adapted.door, { prompt: "Hi", adapter: "music", ...answer });
    await refused(asked, "bad_request", /"music".*"law", "poems"/);
  });
});

describe("refused", () => {
  const opening = (folder: ModelFolder, more = {}) =>
    opener({ platform: nodePlatform, folder: base, device: "reference" })({
      adapters: { law: folder },
      ...more,
    });

  test.each([
    ["shared experts", { 0: [1] }, { shared_experts: true }, "unsupported_model", /shared_experts/],
    ["other weights", { 0: [1] }, { non_expert_modules: true }, "unsupported_model", /non_expert/],
    ["an expert too many", { 0: [8] }, {}, "bad_file", /\[8\] in layer 0.*0 to 7/],
    ["a layer too many", { 5: [1] }, {}, "bad_file", /layer 5/],
    ["no list", { 0: [1] }, { experts: [1, 2] }, "bad_file", /an object of lists/],
  ] as const)("an adapter with %s", async (_, experts, more, code, message) => {
    await refused(opening(adapterFolder(experts, 3, more)), code, message);
  });

  test("an adapter whose tensors lack", async () => {
    const experts = { experts: { 0: [1, 2] } };
    await refused(opening(adapterFolder({ 0: [1] }, 3, experts)), "missing_tensor", /experts\.2\./);
  });

  test("adapters and a cap at once", async () => {
    const capped = opening(adapterFolder({ 0: [1] }, 3), { experts: { memoryBytes: 1e5 } });
    await refused(capped, "bad_request", /leave out one of the two/);
  });
});
