// The tuning cache of browsers, on their own IndexedDB.

import { expect, test } from "vitest";
import { indexedDbTuningCache } from "../../runtime/tuning/indexed-db-cache.ts";

const key = `a device ${performance.timeOrigin}`;
const record = { entries: [] };

test("a record is there for the next page, under its own key", async () => {
  const warnings: string[] = [];
  const onWarning = (message: string) => void warnings.push(message);
  expect(await indexedDbTuningCache({ onWarning }).read(key)).toBeUndefined();
  await indexedDbTuningCache({ onWarning }).write(key, record);
  expect(await indexedDbTuningCache({ onWarning }).read(key)).toEqual(record);
  expect(await indexedDbTuningCache({ onWarning }).read(`${key}, another`)).toBeUndefined();
  expect(warnings).toEqual([]);
});

test("a database that cannot be used is a warning, not an error", async () => {
  const warnings: string[] = [];
  const cache = indexedDbTuningCache({ onWarning: (message) => void warnings.push(message) });
  const own = Object.getOwnPropertyDescriptor(globalThis, "indexedDB")!;
  Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true });
  try {
    expect(await cache.read(key)).toBeUndefined();
    await cache.write(key, record);
  } finally {
    Object.defineProperty(globalThis, "indexedDB", own);
  }
  expect(warnings).toEqual([
    expect.stringMatching(/no IndexedDB/),
    expect.stringMatching(/no IndexedDB/),
  ]);
});
