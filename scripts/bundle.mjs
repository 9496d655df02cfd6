// npm run bundle [-- DIR]
//
// Packs engine, command line, kernel lab and Dawn into a folder that runs on any Linux x64 machine
// with Node 20 or later and a Vulkan driver, without a network: for figures from real GPUs.
// DIR is weft-bench by default; DIR.tar.gz is written beside it.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ROOT, say } from "./setup/state.mjs";

const MOST_BYTES = 64 * 2 ** 20;
const out = resolve(process.argv[2] ?? "weft-bench");

try {
  await bundle();
  const archive = `${out}.tar.gz`;
  run("tar", "-czf", archive, "-C", dirname(out), basename(out));
  const { size } = statSync(archive);
  if (size > MOST_BYTES) throw new Error(`${archive} has ${size} bytes, ${MOST_BYTES} are allowed`);
  console.log(`${archive}  ${(size / 2 ** 20).toFixed(1)} MiB`);
  console.log(`there: tar -xzf ${basename(archive)} && node ${basename(out)}/run.mjs`);
} catch (error) {
  say(`bundle: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function bundle() {
  const { build } = await import("esbuild");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["apps/cli/main.ts"],
    outfile: join(out, "weft.mjs"),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    // Dawn is a native module; gpu.js is a rival that the lab does without.
    external: ["webgpu", "gpu.js", "onnxruntime-web", "onnxruntime-web/*"],
    logLevel: "warning",
  });
  copyDawn();
  copyFileSync(join(ROOT, "scripts", "bundle", "run.mjs"), join(out, "run.mjs"));
  copyFileSync(join(ROOT, "LICENSE"), join(out, "LICENSE"));
  const commit = spawnSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8" });
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const made = { version, commit: commit.status === 0 ? commit.stdout.trim() : "unknown" };
  writeFileSync(join(out, "bundle.json"), `${JSON.stringify(made)}\n`);
}

/** npm `webgpu` with the one binary that such machines load, and what it imports. */
function copyDawn() {
  for (const name of ["webgpu", "debug", "ms"]) {
    const from = join(ROOT, "node_modules", name);
    const to = join(out, "node_modules", name);
    cpSync(from, to, { recursive: true, filter: (path) => !isForeign(path.slice(from.length)) });
  }
}

/** Binaries for other machines, and how they are made. @param {string} path Below the package */
function isForeign(path) {
  return /^\/(build|node_modules)(\/|$)/.test(path) || /^\/dist\/(?!linux-x64)/.test(path);
}

/** @param {string} command @param {string[]} args */
function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`${command} ended with ${status ?? error?.message}`);
}
