// Runs the example in Electron with a question and no window of its own, and looks whether an answer streams
// and is right. Needs the Electron binary, which npm does not bring.
//
//   node apps/electron/smoke.mjs [--utility] [--device reference]

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { buildExample } from "./build.mjs";

const QUESTION = "What is 47 + 38?";
const RIGHT = /85/;
const LIMIT_MS = 180_000;
const HOW =
  "install it with `npx install-electron` (more than 100 MB, from github.com or where ELECTRON_MIRROR says), " +
  "then run this again";

try {
  const electron = electronBinary();
  await buildExample();
  const deltas = await ask(electron, process.argv.slice(2));
  const text = deltas.map(({ content = "" }) => content).join("");
  if (deltas.length < 3)
    throw new Error(`the answer came in ${deltas.length} pieces, not as a stream`);
  if (!RIGHT.test(text)) throw new Error(`the answer is ${JSON.stringify(text)}, not ${RIGHT}`);
  console.log(`smoke: an answer streamed in ${deltas.length} pieces: ${JSON.stringify(text)}`);
} catch (error) {
  console.error(`smoke: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/** Asking the package itself would start the download. @throws {Error} where there is none */
function electronBinary() {
  const folder = electronFolder();
  const name = join(folder, "path.txt");
  const binary = existsSync(name) ? join(folder, "dist", readFileSync(name, "utf8").trim()) : "";
  if (!existsSync(binary)) throw new Error(`needs Electron, and its binary is not there; ${HOW}`);
  return binary;
}

function electronFolder() {
  try {
    return dirname(createRequire(import.meta.url).resolve("electron/package.json"));
  } catch {
    throw new Error("needs Electron, and the package is not installed; run `npm ci` first");
  }
}

/**
 * @param {string} electron @param {readonly string[]} more
 * @returns {Promise<{ content?: string }[]>} What came, piece by piece.
 */
function ask(electron, more) {
  const args = [import.meta.dirname, "--prompt", QUESTION, ...more];
  const child = spawn(electron, args, { stdio: ["ignore", "pipe", "inherit"], timeout: LIMIT_MS });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      // Chromium may say something of its own.
      const lines = output.split("\n").filter((line) => line.startsWith("{"));
      if (code === 0) resolve(lines.map((line) => JSON.parse(line)));
      else reject(new Error(`Electron ended with ${code ?? signal}; its messages are above`));
    });
  });
}
