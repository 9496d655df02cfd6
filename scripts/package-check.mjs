// Packs Weft as npm would, lints the tarball, installs it in empty projects, for Node and for Vite, and
// runs README.md's programs there with the model's address changed to that of the demo model.
//
//   npm run package-check [-- --vite 7,8]
//
// Needs npm's registry, and Chromium as `npm run setup` finds it.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launchChromium } from "./headless.mjs";
import { readmeProgram } from "./package/programs.mjs";
import { run, withServer } from "./package/run.mjs";
import { driverEnvironment, ROOT, readState, say } from "./setup/state.mjs";

const PORT = 47_311;
/** What README.md tells users of a version to write; the newest needs nothing. */
const VITE_CONFIGS = {
  7: 'export default { worker: { format: "es" }, optimizeDeps: { exclude: ["weft-llm"] } };\n',
  8: "",
};

const { values } = parseArgs({ options: { vite: { type: "string", default: "8,7" } } });
const work = mkdtempSync(join(tmpdir(), "weft-package-"));
try {
  const tarball = pack();
  lint(tarball);
  checkInNode(tarball);
  const browser = await launchChromium();
  try {
    for (const version of values.vite.split(",")) await checkInVite(tarball, version, browser);
  } finally {
    await browser.close();
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

/** @param {string} tarball */
function checkInNode(tarball) {
  const { dependencies, devDependencies } = manifest();
  const folder = project("node", [
    tarball,
    `webgpu@${devDependencies.webgpu}`,
    `typescript@${devDependencies.typescript}`,
    `@types/node@${devDependencies["@types/node"]}`,
  ]);
  writeFileSync(join(folder, "main.ts"), readmeProgram("Ten lines", "demo"));
  const options = ["--strict", "--target", "es2022", "--noEmit", "--types", "node"];
  for (const [module, resolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const how = ["--module", module, "--moduleResolution", resolution];
    run(folder, "npx", ["--no-install", "tsc", ...options, ...how, "main.ts"]);
  }
  // Node 20 runs no TypeScript; the program is JavaScript as well.
  writeFileSync(join(folder, "main.mjs"), readmeProgram("Ten lines", "demo"));
  const driver = readState()?.drivers.lavapipe;
  const answer = run(
    folder,
    process.execPath,
    ["main.mjs"],
    driver ? driverEnvironment(driver) : {},
  );
  requireAnswer("Node", answer);
  run(folder, "npx", [
    "--no-install",
    "weft",
    "run",
    "--model",
    "demo",
    "--prompt",
    "A",
    "--device",
    "reference",
    "--max-tokens",
    "2",
  ]);
  say(`Node ${process.versions.node}: ${Object.keys(dependencies).length} packages beside Weft`);
}

/** @param {string} tarball @param {string} version @param {import("playwright").Browser} browser */
async function checkInVite(tarball, version, browser) {
  const folder = project(`vite${version}`, [tarball, `vite@${version}`]);
  const config = VITE_CONFIGS[/** @type {7} */ (Number(version))] ?? "";
  if (config) writeFileSync(join(folder, "vite.config.js"), config);
  const script = '<script type="module" src="main.js"></script>';
  writeFileSync(join(folder, "index.html"), `<!doctype html><body>${script}</body>\n`);
  const model = `http://localhost:${PORT}/demo`;
  writeFileSync(join(folder, "main.js"), readmeProgram("In a page", model));
  const assets = join(folder, "node_modules", "weft-llm", "assets", "demo");
  cpSync(assets, join(folder, "public", "demo"), { recursive: true });
  const vite = join("node_modules", "vite", "bin", "vite.js");
  const at = ["--port", `${PORT}`, "--strictPort"];
  run(folder, process.execPath, [vite, "build"]);
  for (const [name, command] of /** @type {const} */ ([
    ["build and preview", ["preview"]],
    ["dev", []],
  ])) {
    const seen = await withServer(folder, [vite, ...command, ...at], (url) => visit(browser, url));
    requireAnswer(`Vite ${version}, ${name}`, seen.text);
    say(`Vite ${version}, ${name}: ${seen.scriptBytes} bytes of script in ${seen.scripts} files`);
  }
}

/**
 * What the page's body says once it says no more.
 * @param {import("playwright").Browser} browser @param {string} url
 */
async function visit(browser, url) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const faults = [];
  /** @type {Promise<number>[]} */
  const scripts = [];
  page.on("pageerror", ({ message }) => faults.push(message));
  page.context().on("response", (response) => {
    if (/\.js(\?|$)/.test(response.url())) {
      scripts.push(
        response.body().then(
          (body) => body.length,
          () => 0,
        ),
      );
    }
  });
  try {
    await page.goto(url);
    let [text, before] = ["", ""];
    for (let i = 0; i < 60 && (text === "" || text !== before) && faults.length === 0; i++) {
      await page.waitForTimeout(2_000);
      [before, text] = [text, (await page.locator("body").innerText()).trim()];
    }
    if (faults.length > 0) throw new Error(`${url}: ${faults.join("; ")}`);
    const bytes = await Promise.all(scripts);
    return { text, scripts: bytes.length, scriptBytes: bytes.reduce((sum, size) => sum + size, 0) };
  } finally {
    await page.close();
  }
}

/** @param {string} where @param {string} text */
function requireAnswer(where, text) {
  if (text.trim() === "") throw new Error(`${where}: the program ended without an answer`);
  say(`${where}: ${JSON.stringify(text.trim())}`);
}

/** An empty project with these packages. @param {string} name @param {readonly string[]} packages */
function project(name, packages) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  run(folder, "npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...packages]);
  return folder;
}

function manifest() {
  return JSON.parse(run(ROOT, "npm", ["pkg", "get", "dependencies", "devDependencies"]));
}
