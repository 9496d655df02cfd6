// layer-plans.json is a file from anywhere: what is not of this model, or not as it is written, is refused.

import { expect, test } from "vitest";
import { seededRandom } from "../../kernels/probe.ts";
import { WeftError } from "../../runtime/errors.ts";
import { checkLayerPlanFile, type LayerPlanFile } from "../../runtime/layer-plan-file.ts";

const MODEL = { weights: "ab12", quant: undefined, numLayers: 4 };

const PLAN = {
  name: "skip-1",
  plan: { skipMlp: [2] },
  lossless: false,
  kl: 0.02,
  top1Agreement: 0.97,
  layersExecuted: 3.5,
} as const;

const FILE: LayerPlanFile = {
  version: 1,
  weights: "ab12",
  quant: "none",
  plans: [PLAN, { ...PLAN, name: "skip-2", plan: { skip: [1] }, layersExecuted: 3 }],
  drafts: [{ skip: [1], skipAttention: [3] }],
  exits: [
    { layer: 2, threshold: 0.97, disagreement: 0.02 },
    { layer: 3, threshold: 0.9, disagreement: 0.01 },
  ],
};
const [EXIT] = FILE.exits!;

test("what calibration writes is read back, as JSON has it", () => {
  const read = JSON.parse(JSON.stringify(FILE));
  expect(checkLayerPlanFile(read, MODEL)).toEqual(FILE);
  expect(checkLayerPlanFile({ ...read, quant: "q4" }, { ...MODEL, quant: "q4" }).quant).toBe("q4");
});

const withPlan = (change: object) => ({ ...FILE, plans: [{ ...PLAN, ...change }] });

test.each<[string, unknown, RegExp]>([
  ["no object", [], /it is \[\], it must be an object/],
  ["null", null, /it is null/],
  ["a later version", { ...FILE, version: 2 }, /version is 2, this version reads 1/],
  ["no version", { ...FILE, version: undefined }, /version is missing/],
  ["other weights", { ...FILE, weights: "cd34" }, /weights is "cd34", this model's are ab12/],
  [
    "another quantisation",
    { ...FILE, quant: "q4" },
    /quant is "q4", the model is loaded with none/,
  ],
  ["plans that are none", { ...FILE, plans: {} }, /plans is \{\}, it must be a list of at most 64/],
  ["exits that are none", { ...FILE, exits: {} }, /exits is \{\}, it must be a list/],
  ["an exit that is none", { ...FILE, exits: [2] }, /exits\[0\] is 2, it must be an object/],
  [
    "an exit behind the last layer",
    { ...FILE, exits: [{ ...EXIT, layer: 4 }] },
    /exits\[0\].layer is 4, it must rise, from 1 to 3/,
  ],
  ["an exit twice", { ...FILE, exits: [EXIT, EXIT] }, /exits\[1\].layer is 2, it must rise/],
  [
    "an exit for anybody",
    { ...FILE, exits: [{ ...EXIT, threshold: 0 }] },
    /exits\[0\].threshold is 0, it must be above 0/,
  ],
  ["no drafts", { ...FILE, drafts: undefined }, /drafts is missing, it must be a list/],
  ["too many", { ...FILE, drafts: Array(65).fill({ skip: [1] }) }, /list of at most 64/],
  ["a plan that is none", { ...FILE, plans: [7] }, /plans\[0\] is 7, it must be an object/],
  ["two of one name", { ...FILE, plans: [PLAN, PLAN] }, /plans\[1\].name is "skip-1"/],
  ["a name with a space", withPlan({ name: "a b" }), /plans\[0\].name is "a b"/],
  [
    "a layer too many",
    withPlan({ plan: { skip: [4] } }),
    /the model has 4 layers: list some of 0 to 3/,
  ],
  ["an unknown list", withPlan({ plan: { leave: [1] } }), /has "leave"/],
  ["no plan", withPlan({ plan: undefined }), /plans\[0\].plan is missing/],
  ["a layer twice", withPlan({ plan: { repeat: [1] } }), /it must repeat no layer/],
  ["one said to be lossless", withPlan({ lossless: true }), /lossless is true, it must be false/],
  ["a KL below 0", withPlan({ kl: -1 }), /kl is -1, it must be 0 or more/],
  ["a KL that is no number", withPlan({ kl: "0" }), /kl is "0"/],
  ["an agreement above 1", withPlan({ top1Agreement: 97 }), /top1Agreement is 97/],
  [
    "more layers than there are",
    withPlan({ layersExecuted: 5 }),
    /layersExecuted is 5.*from 0 to 4/,
  ],
  ["a draft that runs all", { ...FILE, drafts: [{}] }, /drafts\[0\] is \{\}, it must leave/],
  ["a draft that is a name", { ...FILE, drafts: ["skip-1"] }, /drafts\[0\] is "skip-1"/],
])("refuses %s", (_, value, message) => {
  const check = () => checkLayerPlanFile(value, MODEL, "plans.json");
  expect(check).toThrow(message);
  expect(check).toThrow(
    /^plans\.json: .*; run weft calibrate for this model, or leave the file out$/,
  );
});

test("2,000 mutants are read or refused, and nothing else", () => {
  const random = seededRandom(5);
  const text = JSON.stringify(FILE);
  for (let i = 0; i < 2000; i++) {
    const at = Math.floor(random() * text.length);
    const other = String.fromCharCode(32 + Math.floor(random() * 95));
    let value: unknown;
    try {
      value = JSON.parse(text.slice(0, at) + other + text.slice(at + 1));
    } catch {
      continue;
    }
    try {
      checkLayerPlanFile(value, MODEL);
    } catch (error) {
      expect(error).toBeInstanceOf(WeftError);
      expect(error).toMatchObject({ code: "bad_file" });
    }
  }
});
