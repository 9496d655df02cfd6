// Tuning without a model, as `weft bench kernels --tune` does it: what is reported, what is stored.

import { expect, test } from "vitest";
import { tuneText } from "../../apps/cli/tune-text.ts";
import { tinyShape } from "../../apps/lab/model-shapes.ts";
import { tuneLab, tuningTasks } from "../../apps/lab/tuning.ts";
import type { TuningCache, TuningRecord } from "../../runtime/tuning/tuning-cache.ts";
import { readRecord, tuningKey } from "../../runtime/tuning/tuning-cache.ts";
import { timedDevice } from "../runtime/tuning/timed-device.ts";

const all = { shapes: [tinyShape], quick: true };

function memory() {
  const records = new Map<string, TuningRecord>();
  const cache: TuningCache = {
    read: async (key) => records.get(key),
    write: async (key, record) => {
      records.set(key, record);
    },
  };
  return { records, cache };
}

test("each matrix of the shapes is a task, once; a filter takes some", () => {
  const { cache } = memory();
  const tasks = tuningTasks({ ...all, cache, shapes: [tinyShape, tinyShape] });
  const names = tasks.map(({ role, format }) => `${role} ${format}`);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(["qkv f16", "gate_up f16", "attention_out q4_0"]));
  const named = (filter: string) => tuningTasks({ ...all, cache, filter }).map(({ role }) => role);
  expect(named("gate_up")).toEqual(["gate_up"]);
  expect(named("q4_0")).toEqual(["attention_out"]);
  expect(named("rms_norm")).toEqual([]);
});

test("the table sets the default beside what is faster, and the cache has it", async () => {
  const device = timedDevice({
    us: (name) => (name.includes("gemv_64x16x2[") ? 5 : 10),
    refuses: /tile_64x64_8x8/,
  });
  const { records, cache } = memory();
  const options = { ...all, cache, filter: "q4_0" };
  const results = [];
  for await (const result of tuneLab(device, tuningTasks(options), options)) results.push(result);
  expect(results.map(({ bucket, rows, shape }) => [bucket, rows, shape])).toEqual([
    ["one", 1, "gemv_64x16x2"],
    ["few", 8, "small_m"],
    ["many", 64, "tile"],
  ]);
  const stored = readRecord(records.get(tuningKey(device.info)), device.info);
  expect(
    stored.map(({ bucket, shape, us, standardUs }) => [bucket, shape, us, standardUs]),
  ).toEqual([
    ["one", "gemv_64x16x2", 5, 10],
    ["few", "small_m", 10, 10],
    ["many", "tile", 10, 10],
  ]);
  const text = tuneText("an adapter", results);
  expect(text).toMatch(/tiny attention_out q4_0 +256×256 +1 +gemv +10 +gemv_64x16x2 +5 +2×/);
  expect(text).toMatch(/small_m +10 +same +10 +1×/);
  expect(text).toMatch(/dropped: tile_64x64_8x8\[q4_0\]: .*: no/);
}, 60_000);
