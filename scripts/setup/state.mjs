// What set-up found on this machine, kept in .cache/setup.json, and the environment that each
// driver needs. Finds and installs nothing itself.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {{ vendor: string, architecture: string, description: string, software: boolean }} Adapter
 * @typedef {{ icd: string, libraryPath: string[], adapter: Adapter }} Driver `icd`: Vulkan manifest;
 *   `libraryPath`: folders the dynamic linker must search, empty for a driver of the system
 * @typedef {{ path: string, env: Record<string, string>, version: string }} Browser
 * @typedef {"lavapipe" | "swiftshader"} DriverName
 * @typedef {"demo" | "test"} Purpose A demo needs one adapter; the tests need every driver
 * @typedef {object} SetupState
 * @property {string} platform
 * @property {Purpose} purpose What set-up last looked for
 * @property {Adapter | null} adapter The machine's own GPU, as Dawn sees it
 * @property {Record<DriverName, Driver | null>} drivers
 * @property {Browser | null} chromium
 * @property {Record<string, string>} missing What was looked for and not found, with its cure
 */

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const CACHE = join(ROOT, ".cache");
const STATE_FILE = join(CACHE, "setup.json");

/** Changes whenever a state written by older scripts must not be trusted. */
export const PLATFORM = `2-${process.platform}-${process.arch}`;

/**
 * The last set-up's result; null when there is none, or when something it names is gone.
 * @returns {SetupState | null}
 */
export function readState() {
  if (!existsSync(STATE_FILE)) return null;
  /** @type {SetupState} */
  let state;
  try {
    state = JSON.parse(readFileSync(STATE_FILE, "utf8"));
  } catch {
    return null;
  }
  if (state.platform !== PLATFORM) return null;
  const paths = [state.chromium?.path, state.drivers.lavapipe?.icd, state.drivers.swiftshader?.icd];
  return paths.every((path) => path === undefined || existsSync(path)) ? state : null;
}

/** @param {SetupState} state */
export function writeState(state) {
  mkdirSync(CACHE, { recursive: true });
  // Written beside and renamed, so that a reader never sees half a file.
  writeFileSync(`${STATE_FILE}.${process.pid}`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${STATE_FILE}.${process.pid}`, STATE_FILE);
}

/**
 * Environment under which Dawn uses exactly this Vulkan driver. `LD_LIBRARY_PATH` is read when a
 * process starts, so these must be in the environment of a new process.
 * @param {Pick<Driver, "icd" | "libraryPath">} driver
 * @returns {Record<string, string>}
 */
export function driverEnvironment({ icd, libraryPath }) {
  // The loader prefers VK_DRIVER_FILES; loaders before 1.3.207 know only the other name.
  return { VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd, ...libraryEnvironment(libraryPath) };
}

/**
 * @param {string[]} libraryPath
 * @returns {Record<string, string>}
 */
export function libraryEnvironment(libraryPath) {
  if (libraryPath.length === 0) return {};
  const inherited = process.env.LD_LIBRARY_PATH;
  return {
    LD_LIBRARY_PATH: [...libraryPath, ...(inherited ? [inherited] : [])].join(delimiter),
  };
}

/** One line on stderr: stdout belongs to the program that set-up precedes. @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}
