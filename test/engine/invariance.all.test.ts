// Neighbours never change your tokens (docs/numerics.md): logits and KV cache of every position have
// the same bits whether the token came by decode, by prefill of the whole, in chunks of any size, or
// beside 15 other sequences, in one step or layer by layer in several. The reference device keeps to it as GPUs do.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KvStorage, kvStorages } from "../../kernels/kv-layout.ts";
import { seededRandom } from "../../kernels/probe.ts";
import { numStages } from "../../models/decoder.ts";
import type { Device } from "../../runtime/device.ts";
import { type LoadedModel, loadModel } from "../../runtime/load-model.ts";
import type { LoadModelOptions } from "../../runtime/load-options.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { openDevice, profiles } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { demoFolder } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { type Placed, type PlacedRange, type TokenBits, tokenBits } from "./token-bits.ts";

const MAX_TOKENS = 320;
const MAX_ROWS = 16;
const BLOCK_TOKENS = 32;

const golden = (name: string) =>
  localFolder(fileURLToPath(new URL(`../fixtures/goldens/${name}`, import.meta.url)));

interface Model {
  readonly folder: ModelFolder;
  readonly quant?: LoadModelOptions["quant"];
  readonly activations?: LoadModelOptions["activations"];
  /** Of the KV cache; all where absent. */
  readonly storages?: readonly KvStorage[];
}

/**
 * Sliding window beside full attention and biases; QK-norm and f16; QK-norm and more columns, with
 * Q4_0 in the layers and Q8_0 around them; experts; convolutions beside attention; latents and shared
 * experts. Only in soak: Q8_0 everywhere, bf16 as it is
 * stored, and rows that are rounded to int8, with QKV matrices that rotate (no QK-norm) and without;
 * norms after blocks, soft caps, and multipliers.
 */
const models = {
  "qwen2-window/f32": { folder: golden("qwen2-window/f32") },
  "qwen3/f16": { folder: golden("qwen3/f16") },
  "demo in q4": { folder: shallowFolder(demoFolder(), 3), quant: "q4" },
  "demo-moe": { folder: shallowFolder(demoFolder("demo-moe"), 3) },
  "lfm2/f32": { folder: golden("lfm2/f32") },
  "deepseek-v2/bf16": { folder: golden("deepseek-v2/bf16"), storages: ["f32", "f16"] },
  "demo in q8": { folder: shallowFolder(demoFolder(), 3), quant: "q8" },
  demo: { folder: shallowFolder(demoFolder(), 3) },
  "demo in q4, int8 rows": {
    folder: shallowFolder(demoFolder(), 3),
    quant: "q4",
    activations: "i8",
  },
  "demo in q8, int8 rows": {
    folder: shallowFolder(demoFolder(), 3),
    quant: "q8",
    activations: "i8",
  },
  "qwen2-window in q8, int8 rows": {
    ...{ folder: golden("qwen2-window/f32"), quant: "q8", activations: "i8" },
  },
  "gemma2/f32": { folder: golden("gemma2/f32") },
  "olmo2/bf16": { folder: golden("olmo2/bf16") },
  "granite/f16": { folder: golden("granite/f16") },
} satisfies Record<string, Model>;

const NUM_IN_GATE = 5;

interface Case {
  readonly model: keyof typeof models;
  readonly kv: KvStorage;
  readonly lengths: readonly number[];
}

/**
 * In the gate one prompt per model on lavapipe, one in all on SwiftShader and in `baseline`, models
 * paired with storages. The reference device leaves out the demo model, half a minute there.
 */
function cases(profile: string): Case[] {
  const some = project() === "swiftshader" || profile === "baseline";
  const slow = project() === "reference";
  const names = Object.keys(models) as Case["model"][];
  const numPrompts = scale("invariance", 1, 20);
  const most = numPrompts > 1 ? names.length : NUM_IN_GATE;
  const chosen = names.filter((name, i) => {
    // SwiftShader runs nothing else in int8, and no other experts.
    const isInt8Once = numPrompts > 1 && name === "demo in q4, int8 rows" && profile === "full";
    const isMoe = numPrompts > 1 && name === "demo-moe" && profile === "full";
    if (some) return i === 0 || isInt8Once || isMoe;
    const isOther = name === "lfm2/f32" || name === "deepseek-v2/bf16";
    return slow ? i < 2 || isOther : i < most;
  });
  return chosen.flatMap((model, m) => {
    const random = seededRandom(60 + m);
    const draw = () => 96 + Math.floor(204 * random());
    // Past an attention tile's border, and one block more.
    const gate = some ? 96 : 131;
    const lengths = Array.from({ length: numPrompts }, (_, i) => (i === 0 ? gate : draw()));
    const { storages = kvStorages }: Model = models[model];
    const kvs = storages.filter((_, i) => numPrompts > 1 || i === m % storages.length);
    return kvs.map((kv) => ({ model, kv, lengths }));
  });
}

// Bits on a device without features are the soak's; in the gate they are its kernels' (bitwise.gpu.test.ts).
const inSoak = scale("invariance", 0, 1) === 1;
const onLavapipe = project() === "lavapipe" && !inSoak;

describe.each(onLavapipe ? (["full"] as const) : profiles())("device profile %s", (profile) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(profile);
  });
  afterAll(() => device.destroy());

  test.each(cases(profile).map((each) => [`${each.model}, KV cache in ${each.kv}`, each] as const))(
    "%s",
    async (_, { model, kv, lengths }) => {
      const sizes = { maxTokensPerPlan: MAX_TOKENS, maxLogitRows: MAX_TOKENS, maxRows: MAX_ROWS };
      const { folder, quant, activations }: Model = models[model];
      const loaded = await loadModel(device, folder, { ...sizes, kv, quant, activations });
      await device.prepare(loaded.runner.pipelines);
      for (const [i, length] of lengths.entries()) await expectInvariant(loaded, length, i);
      report("invariance", { model, kv, profile, lengths });
    },
    scale("invariance", 300_000, 7_200_000),
  );
});

async function expectInvariant(model: LoadedModel, length: number, seed: number): Promise<void> {
  const random = seededRandom(1000 + seed);
  const ids = randomIds(model, length, random);
  const alone = async (chunk: number) => {
    const [sequence] = place(model, [ids], random);
    const steps = chunks(sequence, () => chunk).map((range) => [range]);
    return tokenBits(model, sequence, steps);
  };
  const whole = await alone(length);
  // What is compared must be there: not NaN, and not what the pool held before.
  expect(firstDifference(whole, await alone(length))).toBeNull();
  const changed = [...ids.slice(0, 70), (ids[70] + 1) % model.plan.spec.vocabSize];
  const [other] = place(model, [changed], random);
  const beginning = await tokenBits(model, other, [[all(other)]]);
  expect(firstDifference(whole.slice(0, 71), beginning)).toBe(70);

  for (const chunk of [1, 7, 32, 64, 100]) {
    expect(firstDifference(whole, await alone(chunk)), `in chunks of ${chunk}`).toBeNull();
  }
  expect(firstDifference(whole, await amongOthers(model, ids, random)), "in a batch").toBeNull();
  expect(firstDifference(whole, await byLayers(model, ids, random)), "by layers").toBeNull();
}

/** In chunks of two thirds, each cut by layers anywhere; other sequences run in every step, or none. */
async function byLayers(
  model: LoadedModel,
  ids: readonly number[],
  random: () => number,
): Promise<TokenBits> {
  const neighbour = randomIds(model, 60, random);
  const [sequence, other] = place(model, [ids, neighbour], random);
  const end = numStages(model.plan.spec);
  const steps: PlacedRange[][] = [];
  for (const range of chunks(sequence, () => Math.ceil((2 * ids.length) / 3))) {
    for (let from = 0; from < end; ) {
      // Behind a sublayer that has run, and before the last.
      const to = Math.max(2, from + 1 + Math.floor(3 * random()));
      const stages = { from, to: to > end - 2 ? end : to };
      const beside = steps.length % 3 === 0 ? [] : [all(other)];
      steps.push([...beside, { ...range, stages }]);
      from = stages.to;
    }
  }
  return tokenBits(model, sequence, steps);
}

/** Rows of 15 other sequences, in another order and of other lengths in every step. */
async function amongOthers(
  model: LoadedModel,
  ids: readonly number[],
  random: () => number,
): Promise<TokenBits> {
  const upTo = (most: number) => 1 + Math.floor(most * random());
  const neighbours = Array.from({ length: MAX_ROWS - 1 }, () =>
    randomIds(model, 40 + upTo(40), random),
  );
  const [sequence, ...others] = place(model, [ids, ...neighbours], random);
  const sizes = [1, 1, 2, 3, 5, 17, 33];
  const own = chunks(sequence, () => sizes[Math.floor(sizes.length * random())]);
  // A neighbour that has ended begins again, so that every step has 16 rows.
  const theirs = others.map((other) => {
    const list = [];
    while (list.length < own.length)
      list.push(...chunks(other, () => upTo(random() < 0.5 ? 1 : 18)));
    return list;
  });
  const steps = own.map((range, step) =>
    shuffled([range, ...theirs.map((list) => list[step])], random),
  );
  return tokenBits(model, sequence, steps);
}

function chunks(sequence: Placed, size: () => number): PlacedRange[] {
  const ranges: PlacedRange[] = [];
  const { length } = sequence.ids;
  for (let from = 0; from < length; ) {
    const to = Math.min(length, from + size());
    ranges.push({ sequence, tokens: { from, to } });
    from = to;
  }
  return ranges;
}

const all = (sequence: Placed): PlacedRange => ({
  sequence,
  tokens: { from: 0, to: sequence.ids.length },
});

/** Gives each sequence blocks of its own, scattered over the pool. */
function place(
  { plan }: LoadedModel,
  sequences: readonly (readonly number[])[],
  random: () => number,
): Placed[] {
  const free = plan.kv.groups.map(({ numBlocks }) =>
    shuffled(
      Array.from({ length: numBlocks - 1 }, (_, i) => i + 1),
      random,
    ),
  );
  return sequences.map((ids) => {
    const numBlocks = Math.ceil(ids.length / BLOCK_TOKENS);
    return { ids, tables: free.map((blocks) => blocks.splice(0, numBlocks)) };
  });
}

function firstDifference(a: TokenBits, b: TokenBits): number | null {
  const position = a.findIndex((words, i) => words.some((word, w) => word !== b[i]?.[w]));
  return position >= 0 ? position : a.length === b.length ? null : b.length;
}

function randomIds({ plan }: LoadedModel, count: number, random: () => number): number[] {
  return Array.from({ length: count }, () => Math.floor(random() * plan.spec.vocabSize));
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const list = [...values];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}
