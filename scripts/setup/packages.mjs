// Installs the npm packages that package-lock.json names, when they are not what is installed.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, say } from "./state.mjs";

/** Run `npm ci` unless node_modules already matches package-lock.json. @throws when it fails. */
export function installPackages() {
  if (packagesAreCurrent()) return;
  say("setup: installing packages (npm ci)");
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  // stdout goes to stderr, so that `npm run demo` prints nothing but the model's text.
  /** @type {import("node:child_process").SpawnSyncOptions} */
  const options = { cwd: ROOT, stdio: ["ignore", 2, 2] };
  const result = npm?.endsWith(".js")
    ? spawnSync(process.execPath, [npm, ...args], options)
    : spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
  if (result.status !== 0) {
    throw new Error(
      "npm ci failed (its message is above), so no package is installed; " +
        "check the connection to the package registry and run `npm run setup` again",
    );
  }
}

/** npm records what it installed in a hidden lock file: compare that with ours. */
function packagesAreCurrent() {
  const installedFile = join(ROOT, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const wanted = packagesOf(join(ROOT, "package-lock.json"));
  const installed = packagesOf(installedFile);
  const mayBeAbsent = (/** @type {any} */ entry) => entry.optional || entry.peer;
  return (
    Object.entries(installed).every(([path, { version }]) => wanted[path]?.version === version) &&
    Object.entries(wanted).every(
      ([path, entry]) => path === "" || path in installed || mayBeAbsent(entry),
    )
  );
}

/**
 * @param {string} file
 * @returns {Record<string, { version: string, optional?: boolean, peer?: boolean }>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
}
