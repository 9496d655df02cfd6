// Runs vitest in a process of its own and brings back what the summary reporter wrote.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CACHE, ROOT } from "./setup/state.mjs";

/** @typedef {import("../test/harness/summary-reporter.ts").TestSummary} TestSummary */

/**
 * @param {string[]} args
 * @param {Record<string, string>} env Added to the environment
 * @param {number} [limitMinutes] A driver that hangs cannot be timed out from inside its process
 * @returns {TestSummary} One failure and nothing else when vitest ended without a summary
 */
export function runVitest(args, env, limitMinutes) {
  mkdirSync(CACHE, { recursive: true });
  const file = join(CACHE, `test-summary-${process.pid}.json`);
  const result = spawnSync(
    process.execPath,
    [join(ROOT, "node_modules", "vitest", "vitest.mjs"), "run", ...args],
    {
      cwd: ROOT,
      stdio: "inherit",
      env: { ...process.env, ...env, WEFT_TEST_SUMMARY: file },
      timeout: limitMinutes && limitMinutes * 60_000,
    },
  );
  if (result.error) console.log(`vitest was stopped: ${result.error.message}`);
  const none = { passed: 0, failed: 1, skipped: 0, absent: {}, pipelines: {}, soak: [] };
  if (!existsSync(file)) return none;
  /** @type {TestSummary} */
  const summary = JSON.parse(readFileSync(file, "utf8"));
  rmSync(file);
  // Whatever vitest calls a failure and the reporter did not count is one all the same.
  const uncounted = result.status !== 0 && summary.failed === 0;
  return uncounted && Object.keys(summary.absent).length === 0
    ? { ...summary, failed: 1 }
    : summary;
}
