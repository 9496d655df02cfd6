// npm run soak -- NAME [vitest arguments]
//
// Runs the test files that call `scale("NAME", …)` at their large size, on every driver they name,
// and writes docs/results/soak-NAME.json: what ran, where, and what the tests reported.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { runVitest } from "./run-vitest.mjs";
import { ROOT, say } from "./setup/state.mjs";
import { setup } from "./setup.mjs";

const [name = "", ...args] = process.argv.slice(2);
/** Soaks that time: a file beside another would be in its way. */
const TIMED = new Set(["host-work", "decode-counts"]);

const soaks = findSoaks();
const files = soaks.get(name);

if (files === undefined) {
  const known = [...soaks.keys()].sort().join(", ") || "none yet";
  say(`soak: there is no soak "${name}"; use npm run soak -- NAME with one of: ${known}`);
  process.exitCode = 2;
} else {
  try {
    await soak(name, files);
  } catch (error) {
    say(`soak: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}

/** @param {string} name @param {string[]} files */
async function soak(name, files) {
  const { drivers, chromium } = await setup({ purpose: "test" });
  const startedMs = Date.now();
  const alone = TIMED.has(name) ? ["--no-file-parallelism"] : [];
  const summary = runVitest([...files, ...alone, ...args], { WEFT_SOAK: name });
  const { passed, failed, skipped, absent, soak: reports } = summary;
  const result = {
    soak: name,
    command: ["npm run soak --", name, ...args].join(" "),
    commit: git("rev-parse", "HEAD"),
    uncommittedChanges: git("status", "--porcelain") !== "",
    date: new Date().toISOString(),
    seconds: Math.round((Date.now() - startedMs) / 1000),
    machine: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version },
    adapters: {
      lavapipe: drivers.lavapipe?.adapter.description ?? null,
      swiftshader: drivers.swiftshader?.adapter.description ?? null,
      chromium: chromium?.version ?? null,
    },
    counts: { passed, failed, skipped },
    absent,
    reports: reports
      .filter((entry) => entry.name === name)
      .map(({ project, test, data }) => ({ project, test, ...data })),
  };
  const folder = join(ROOT, "docs", "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `soak-${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  console.log(`docs/results/soak-${name}.json`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

/** @returns {Map<string, string[]>} Soak name -> test files that scale by it */
function findSoaks() {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  const names = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" });
  for (const file of names.filter((path) => path.endsWith(".test.ts")).sort()) {
    const text = readFileSync(join(ROOT, "test", file), "utf8");
    const calls = text.matchAll(/\bscale\(\s*["']([\w-]+)["']/g);
    for (const soakName of new Set([...calls].map((call) => call[1]))) {
      found.set(soakName, [...(found.get(soakName) ?? []), `test/${file}`]);
    }
  }
  return found;
}

/** @param {string[]} args */
function git(...args) {
  const result = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : "unknown";
}
