// The file stores of Node and of these tests. That of browsers: opfs.browser.test.ts.

import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { directoryFiles, modelsDirectory } from "../../../runtime/store/directory-files.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { fileStoreCases } from "./file-store-cases.ts";
import { MemoryFiles } from "./memory-files.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-store-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("a directory", () => {
  fileStoreCases(() => directoryFiles(directory));

  test("loses what a process that died was writing, an hour later", async () => {
    const drafts = join(directory, ".drafts");
    for (const [name, ageS] of [
      ["old", 4_000],
      ["new", 0],
    ] as const) {
      writeFileSync(join(drafts, name), "half a part");
      utimesSync(join(drafts, name), Date.now() / 1000 - ageS, Date.now() / 1000 - ageS);
    }
    const files = directoryFiles(directory);
    expect(await files.isAvailable()).toBe(true);
    expect(readdirSync(drafts)).toEqual(["new"]);
    expect(await files.folders("")).toEqual([]);
  });

  test("that cannot be made is no store", async () => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    const store = new ModelStore(directoryFiles(join(file, "below")));
    expect(await store.isAvailable()).toBe(false);
    await expect(store.estimate()).rejects.toMatchObject({
      code: "store_failed",
      message: expect.stringMatching(/cannot be used: .*; check its permissions, or create/),
    });
  });

  test("is one of the user's caches by default", () => {
    expect(modelsDirectory()).toMatch(/weft.models$/);
  });
});

describe("memory", () => {
  const memory = new MemoryFiles();
  fileStoreCases(() => memory);
});
