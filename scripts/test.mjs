// npm test              set up, check types and style, run every test on every driver
// npm test -- ARGS      set up, then vitest with these arguments, e.g. --project lavapipe kernels
//
// Ends with `N passed, N failed, N skipped`. Each check counts as a test; so does, where CI=true,
// each project whose driver is absent.

import { spawn } from "node:child_process";
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
  const results = args.length > 0 ? [] : await Promise.all(Object.entries(CHECKS).map(check));
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

/** @param {[string, string[]]} entry @returns {Promise<boolean>} */
function check([name, [program, ...rest]]) {
  const child = spawn(process.execPath, [join(ROOT, "node_modules", program), ...rest], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @type {Buffer[]} */
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => said.push(part));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      // As a whole, since others speak meanwhile.
      process.stdout.write(Buffer.concat(said));
      console.log(`${status === 0 ? "✓" : "✗"} ${name}`);
      resolve(status === 0);
    });
  });
}
