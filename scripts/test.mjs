// npm test              set up, check types and style, run every test on every driver
// npm test -- ARGS      set up, then vitest with these arguments, e.g. --project lavapipe kernels
//
// Ends with `N passed, N failed, N skipped`. Each check counts as a test; so does, where CI=true,
// each project whose driver is absent.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { runVitest } from "./run-vitest.mjs";
import { ROOT, say } from "./setup/state.mjs";
import { setup } from "./setup.mjs";

const CHECKS = {
  "types of the project": ["typescript/bin/tsc", "-p", "tsconfig.json"],
  "types of the leaves, without DOM and WebGPU": [
    "typescript/bin/tsc",
    "-p",
    "tsconfig.leaves.json",
  ],
  "lint and format": ["@biomejs/biome/bin/biome", "check"],
};

/** Well above the 12 minutes that the gate may take on two cores. */
const HUNG_MINUTES = 30;

const startedMs = Date.now();
const args = process.argv.slice(2);

try {
  await setup({ purpose: "test" });
  const results = args.length > 0 ? [] : Object.entries(CHECKS).map(check);
  const summary = runVitest(args, {}, HUNG_MINUTES);
  const numAbsent = process.env.CI === "true" ? Object.keys(summary.absent).length : 0;
  const passed = summary.passed + results.filter((ok) => ok).length;
  const failed = summary.failed + results.filter((ok) => !ok).length + numAbsent;
  console.log(`Took ${((Date.now() - startedMs) / 60_000).toFixed(1)} min`);
  console.log(`${passed} passed, ${failed} failed, ${summary.skipped} skipped`);
  process.exitCode = failed > 0 ? 1 : 0;
} catch (error) {
  say(`test: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/** @param {[string, string[]]} entry @returns {boolean} */
function check([name, [program, ...rest]]) {
  const result = spawnSync(process.execPath, [join(ROOT, "node_modules", program), ...rest], {
    cwd: ROOT,
    stdio: "inherit",
  });
  console.log(`${result.status === 0 ? "✓" : "✗"} ${name}`);
  return result.status === 0;
}
