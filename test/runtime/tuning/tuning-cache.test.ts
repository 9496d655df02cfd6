// What is kept of tuning, and that nothing bad comes of a cache: damaged, foreign, stale, unwritable.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";
import { fileTuningCache } from "../../../runtime/tuning/file-cache.ts";
import { kernelsHash } from "../../../runtime/tuning/kernels-hash.ts";
import { readRecord, type TuningEntry, tuningKey } from "../../../runtime/tuning/tuning-cache.ts";

const { info } = new ReferenceDevice();
const ENTRY: TuningEntry = {
  ...({ format: "q4_0", N: 3072, K: 1024, gated: true, norm: true, octets: false } as const),
  ...({ bucket: "one", shape: "gemv_64x16x4", us: 12.5, standardUs: 20 } as const),
  kernels: kernelsHash("q4_0"),
};

let folder: string;
let warnings: string[];
const cache = () =>
  fileTuningCache({ folder, onWarning: (message) => void warnings.push(message) });
const fileOf = () => join(folder, readdirSync(folder)[0]!);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-tuning-"));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a record is read as it was written, by the same device alone", async () => {
  const key = tuningKey(info);
  expect(await cache().read(key)).toBeUndefined();
  await cache().write(key, { entries: [ENTRY] });
  expect(readRecord(await cache().read(key), info)).toEqual([ENTRY]);
  for (const other of [
    { ...info, identity: "another adapter" },
    { ...info, features: ["shader-f16"] },
  ]) {
    expect(tuningKey(other)).not.toBe(key);
    expect(await cache().read(tuningKey(other))).toBeUndefined();
  }
  expect(warnings).toEqual([]);
  expect(readdirSync(folder)).toHaveLength(1);
});

test.each([
  ["no JSON", "{ no", /JSON/],
  ["empty", "", /JSON/],
  ["a list", "[1, 2]", /not of this device/],
  ["null", "null", /not of this device/],
  ["another device's", JSON.stringify({ key: "other", record: {} }), /not of this device/],
  ["endless", " ".repeat(5 << 20), /bytes/],
])("a file that is %s is ignored with a warning, and written anew", async (_, text, reason) => {
  await cache().write("a device", { entries: [] });
  writeFileSync(fileOf(), text);
  expect(await cache().read("a device")).toBeUndefined();
  expect(warnings).toEqual([expect.stringMatching(reason)]);
  await cache().write("a device", { entries: [ENTRY] });
  expect(await cache().read("a device")).toEqual({ entries: [ENTRY] });
  expect(JSON.parse(readFileSync(fileOf(), "utf8")).key).toBe("a device");
});

test("where nothing can be written there is a warning and no error", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  const blocked = fileTuningCache({
    folder: join(file, "below"),
    onWarning: (message) => void warnings.push(message),
  });
  await blocked.write("a device", { entries: [] });
  expect(warnings).toEqual([expect.stringMatching(/cannot be written/)]);
});

test.each([
  ["undefined", undefined],
  ["a number", 3],
  ["entries that are none", { entries: "many" }],
  ["entries of nothing", { entries: [null, 1, "x", {}, []] }],
  ["a format of no name", { entries: [{ ...ENTRY, format: "toString" }] }],
  ["a size of no matrix", { entries: [{ ...ENTRY, N: -1 }] }],
  ["a time that is none", { entries: [{ ...ENTRY, us: "fast" }] }],
  ["a shape of another Weft", { entries: [{ ...ENTRY, shape: "gemv_1x1x1" }] }],
  ["a shape for other rows", { entries: [{ ...ENTRY, bucket: "many" }] }],
  ["other kernels", { entries: [{ ...ENTRY, kernels: "0" }] }],
  ["a shape beyond the device", { entries: [{ ...ENTRY, shape: "gemv_subgroup32" }] }],
  [
    "a tile that does not fit",
    { entries: [{ ...ENTRY, bucket: "many", shape: "tile_64x64_4x4" }] },
  ],
])("a record with %s holds nothing", (_, record) => {
  expect(readRecord(record, info)).toEqual([]);
  const { entries } = Object(record) as { entries?: unknown };
  if (!Array.isArray(entries)) return;
  expect(readRecord({ entries: [...entries, ENTRY] }, info)).toEqual([ENTRY]);
});
