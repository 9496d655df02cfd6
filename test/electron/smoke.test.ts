// The smoke script where there is no Electron: it says so, and how to get it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const isThere = existsSync(join(ROOT, "node_modules", "electron", "path.txt"));

test.skipIf(isThere)("without Electron the smoke script fails, and names the cure", () => {
  const script = join(ROOT, "apps", "electron", "smoke.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^smoke: needs Electron, .* `npx install-electron`/);
});
