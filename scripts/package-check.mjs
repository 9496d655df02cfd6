// Packs Weft as npm would, lints the tarball, installs it in empty projects, for Node and for each bundler, and
// runs the programs of README.md and docs/ there with the model's address changed to that of the demo model.
//
//   npm run package-check [-- --only node,vite8,vite7,webpack,esbuild]
//
// Needs npm's registry, and Chromium as `npm run setup` finds it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launchChromium } from "./headless.mjs";
import { checkInNode } from "./package/in-node.mjs";
import { BUNDLER_NAMES, checkInPages } from "./package/in-pages.mjs";
import { run } from "./package/run.mjs";
import { ROOT, say } from "./setup/state.mjs";

const { values } = parseArgs({ options: { only: { type: "string" } } });
const asked = values.only?.split(",") ?? ["node", ...BUNDLER_NAMES];
const work = mkdtempSync(join(tmpdir(), "weft-package-"));
try {
  const tarball = pack();
  lint(tarball);
  if (asked.includes("node")) await checkInNode(tarball, work);
  const bundlers = BUNDLER_NAMES.filter((name) => asked.includes(name));
  if (bundlers.length > 0) {
    const browser = await launchChromium();
    try {
      for (const name of bundlers) await checkInPages(name, tarball, work, browser);
    } finally {
      await browser.close();
    }
  }
} catch (error) {
  say(`package-check: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** @returns {string} */
function pack() {
  run(ROOT, process.execPath, ["scripts/build.mjs"]);
  const [{ filename, size, unpackedSize }] = JSON.parse(
    run(ROOT, "npm", ["pack", "--json", "--pack-destination", work]),
  );
  const mebibytes = [size, unpackedSize].map((bytes) => (bytes / 2 ** 20).toFixed(1));
  say(`packed: ${mebibytes[0]} MiB, ${mebibytes[1]} MiB on disk`);
  return join(work, filename);
}

/** @param {string} tarball */
function lint(tarball) {
  const tool = (/** @type {string[]} */ ...args) => run(ROOT, "npx", ["--no-install", ...args]);
  tool("publint", "run", tarball, "--strict");
  tool("attw", tarball, "--profile", "esm-only");
  say("linted: publint, are the types wrong");
}
