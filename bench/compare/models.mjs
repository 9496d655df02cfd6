// The models to compare, written once by models/make.py in a Python environment of their own.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CACHE, MODELS } from "./places.mjs";

const WRITERS = join(import.meta.dirname, "models");
const VENV = join(CACHE, "venv");
const BIN = join(VENV, process.platform === "win32" ? "Scripts" : "bin");

/**
 * @param {readonly string[]} sizes
 * @param {(line: string) => void} say
 * @throws with the cure
 */
export function writeModels(sizes, say) {
  for (const size of sizes) {
    const stamp = join(MODELS, `rand-${size}.stamp`);
    const version = versionOfWriters();
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === version) continue;
    say(`writing the ${size} model`);
    run(python(say), [join(WRITERS, "make.py"), size, MODELS]);
    writeFileSync(stamp, version);
  }
}

/** The words of a model that are one token each. @param {string} size @returns {import("./protocol.mjs").Word[]} */
export const readWords = (size) =>
  JSON.parse(readFileSync(join(MODELS, `rand-${size}`, "words.json"), "utf8"));

/** A model written by other code is another model. */
function versionOfWriters() {
  const hash = createHash("sha256");
  const names = readdirSync(WRITERS).filter((name) => /\.(py|txt)$/.test(name));
  for (const name of names.sort()) hash.update(readFileSync(join(WRITERS, name)));
  return hash.digest("hex");
}

/** @param {(line: string) => void} say */
function python(say) {
  const interpreter = join(BIN, "python3");
  const ready = join(VENV, ".ready");
  if (!existsSync(ready)) {
    say("installing the model writer's Python packages");
    run("python3", ["-m", "venv", VENV]);
    run(interpreter, ["-m", "pip", "install", "--quiet", "-r", join(WRITERS, "requirements.txt")]);
    writeFileSync(ready, "");
  }
  return interpreter;
}

/** @param {string} program @param {string[]} args */
function run(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) return;
  const why = error ? error.message : `exit status ${status}`;
  throw new Error(
    `${program} ${args.join(" ")}: ${why}; models need Python 3.11 or later with venv`,
  );
}
