// The JSON of a comparison: what ran, where, of which versions, and every row.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { PACKAGES, ROOT } from "./places.mjs";
import { NEVER_RUNNABLE } from "./subjects.mjs";

const PEERS = [
  "@huggingface/transformers",
  "onnxruntime-node",
  "onnxruntime-web",
  "@wllama/wllama",
  "node-llama-cpp",
];

/**
 * @param {object} comparison
 * @param {import("./machine.mjs").Machine} comparison.machine
 * @param {readonly string[]} comparison.args Of the command
 * @param {object} comparison.load
 * @param {readonly import("./participant.mjs").Row[]} comparison.rows
 * @param {readonly import("./ratios.mjs").Ratio[]} comparison.ratios
 * @param {{ before: number, after: number }} comparison.loadAverage
 */
export function reportOf({ machine, args, load, rows, ratios, loadAverage }) {
  return {
    command: ["npm run compare --", ...args].join(" "),
    commit: git("rev-parse", "HEAD"),
    uncommittedChanges: git("status", "--porcelain") !== "",
    date: new Date().toISOString(),
    machine: { ...machine.host, loadAverage },
    adapters: { node: machine.nodeAdapter, browser: machine.browser.version },
    versions: Object.fromEntries(PEERS.map((name) => [name, versionOf(name)])),
    protocol: load,
    ratios,
    rows,
    notRunnable: NEVER_RUNNABLE,
  };
}

/** @param {string} path Absolute @param {object} report @returns {string} As seen from the root */
export function writeReport(path, report) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(report, rounded, 2)}\n`);
  return relative(ROOT, path);
}

/** Four digits tell all that is known. @param {string} _ @param {unknown} value */
const rounded = (_, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;

/** @param {string} name */
const versionOf = (name) =>
  JSON.parse(readFileSync(join(PACKAGES, name, "package.json"), "utf8")).version;

/** @param {string[]} args */
function git(...args) {
  const { status, stdout } = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "unknown";
}
