// Logits by layer plan against float64 transformers whose list of layers was edited (docs/goldens.md).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

interface PlannedLogits {
  readonly name: string;
  readonly plan: {
    readonly skip?: readonly number[];
    readonly skipAttention?: readonly number[];
    readonly skipMlp?: readonly number[];
    readonly repeat?: readonly number[];
  };
  readonly logitStd: number;
  readonly logitsFile: string;
}

interface Fixture {
  readonly folder: string;
  readonly vocabSize: number;
  readonly logitsFile: string;
  readonly prompts: readonly (readonly number[])[];
  readonly plans?: readonly PlannedLogits[];
}

const root = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));
const index = JSON.parse(readFileSync(`${root}index.json`, "utf8")) as { fixtures: Fixture[] };
const withPlans = index.fixtures.filter(({ plans }) => plans !== undefined);

/** Logits of all prompts, one after the other, each `[tokens, vocabSize]`. */
function goldenLogits(file: string): Float32Array {
  const bytes = readFileSync(root + file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
}

test("there are plans of a dense and of a sparse model", () => {
  expect(withPlans.map(({ folder }) => folder)).toEqual(["qwen3-plans/f32", "qwen3-moe-plans/f32"]);
});

test.each(withPlans)("$folder: the plan that executes all has the golden's logits", (fixture) => {
  const [all] = fixture.plans ?? [];
  const logits = goldenLogits(all?.logitsFile ?? "");
  expect(all?.plan).toEqual({});
  expect(logits).toEqual(goldenLogits(fixture.logitsFile));
  expect(logits.length).toBe(fixture.prompts.flat().length * fixture.vocabSize);
});
