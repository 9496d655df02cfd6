// An engine with a tuning cache: what it holds for this device changes which kernels run, and not a
// bit of what they give; what it holds for another changes nothing.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "../../runtime/engine.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { kernelsHash } from "../../runtime/tuning/kernels-hash.ts";
import {
  type TuningCache,
  type TuningEntry,
  type TuningRecord,
  tuningKey,
} from "../../runtime/tuning/tuning-cache.ts";
import { ask, randomIds } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const SIZES = { maxTokensPerPlan: 64, maxRows: 4, quantumMs: Number.POSITIVE_INFINITY };
const open = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder(), 1),
  device: "gpu",
});

let plain: Subject;
beforeAll(async () => {
  plain = await open(SIZES);
}, 120_000);
afterAll(() => plain?.door.close());

/** Serves one record under one key, and keeps what it is given. */
function cacheOf(key: string, record: TuningRecord) {
  const written: TuningRecord[] = [];
  const cache: TuningCache = {
    read: async (asked) => (asked === key ? record : undefined),
    write: async (_, given) => {
      written.push(given);
    },
  };
  return { cache, written };
}

const kernelsOf = ({ selfTest }: Engine): string[] => selfTest.kernels.map(({ name }) => name);

/** Chunks of a prompt by tiles, and tokens by one row each; the logprobs show the bits. */
const request = (): GenerateRequest => ({
  prompt: randomIds(90, 3),
  maxTokens: 6,
  ignoreEos: true,
  topLogprobs: 3,
});

/** Other shapes for every matrix of the demo model's layer that has the format. */
function entriesFor(engine: Engine): TuningEntry[] {
  const { spec } = engine.plan;
  const D = spec.hiddenSize;
  const qkv = (spec.numHeads + 2 * spec.numKvHeads) * spec.headDim;
  const format = engine.plan.weights.find((w) => !w.spec.vector)!.runs[0]!.format;
  const uses = [
    { format, N: qkv, K: D, gated: false, norm: true, octets: !spec.qkNorm },
    { format, N: spec.ffnSize, K: D, gated: true, norm: true, octets: false },
  ];
  return uses.flatMap((use) =>
    (["gemv_128x32x2", "tile_32x32_4x2"] as const).map((shape) => ({
      ...{ ...use, shape, us: 1, standardUs: 2, kernels: kernelsHash(format) },
      bucket: shape.startsWith("gemv") ? ("one" as const) : ("many" as const),
    })),
  );
}

test("shapes from the cache run, and give the same bits; another device's do not run", async () => {
  const { device } = plain.engine;
  const expected = await ask(plain.door, request());
  expect(expected.logprobs).toHaveLength(6);
  expect(kernelsOf(plain.engine).join()).not.toMatch(/gemv_128x32x2|tile_32x32_4x2/);

  const record = { entries: entriesFor(plain.engine) };
  const { cache } = cacheOf(tuningKey(device.info), record);
  const tuned = await open({ ...SIZES, tuning: cache }, device);
  expect(tuned.engine.selfTest.demoted).toEqual(plain.engine.selfTest.demoted);
  const kernels = kernelsOf(tuned.engine).join();
  expect(kernels).toMatch(/gemv_128x32x2\[\w+,norm\]\.(bias_)?(store|rope_kv)/);
  expect(kernels).toMatch(/gemv_128x32x2\[\w+,norm\]\.silu/);
  expect(kernels).toMatch(/tile_32x32_4x2/);
  const actual = await ask(tuned.door, request());
  expect(actual.ids).toEqual(expected.ids);
  expect(actual.logprobs).toEqual(expected.logprobs);

  const foreign = cacheOf(tuningKey({ ...device.info, identity: "another GPU" }), record);
  const untouched = await open({ ...SIZES, tuning: foreign.cache }, device);
  expect(kernelsOf(untouched.engine)).toEqual(kernelsOf(plain.engine));
}, 240_000);
