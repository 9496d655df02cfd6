// Empty projects that have the packed Weft installed, as a new user's has.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../setup/state.mjs";
import { run } from "./run.mjs";

const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** Of the version that Weft is tested with. @param {readonly string[]} names */
export const pinned = (...names) => names.map((name) => `${name}@${devDependencies[name]}`);

/**
 * @param {string} work Where projects are made @param {string} name
 * @param {readonly string[]} packages As npm install takes them
 * @param {Readonly<Record<string, string>>} files By name
 * @returns {string} Its folder
 */
export function project(work, name, packages, files) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  run(folder, "npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...packages]);
  return folder;
}
