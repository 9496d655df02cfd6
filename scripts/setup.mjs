// Everything a fresh clone needs before it can run: packages, a WebGPU adapter, and for the tests
// two software Vulkan drivers and Chromium. Uses Node built-ins only. Does nothing that is done.
//
//   npm run setup               look again, and get what is missing into .cache/
//   npm run setup -- --system   get it with apt-get install instead (also when CI=true)

import { fileURLToPath } from "node:url";
import { debianRelease, getDebianPackages } from "./setup/debian.mjs";
import { findChromium, findDriver } from "./setup/drivers.mjs";
import { installPackages } from "./setup/packages.mjs";
import { probeAdapter } from "./setup/probe.mjs";
import { PLATFORM, readState, say, writeState } from "./setup/state.mjs";

/**
 * @typedef {import("./setup/state.mjs").SetupState} SetupState
 * @typedef {import("./setup/state.mjs").Purpose} Purpose
 */

/**
 * Bring this checkout to where the demo or the tests can run, as far as this machine allows.
 * @param {{ purpose: Purpose, system?: boolean, again?: boolean }} options `again`: trust no earlier
 *   result
 * @returns {Promise<SetupState>} What there is, and under `missing` what there is not
 * @throws if the packages cannot be installed
 */
export async function setup({ purpose, system = process.env.CI === "true", again = false }) {
  installPackages();
  const known = again ? null : readState();
  if (known !== null && lacks(known, purpose).length === 0) return known;

  let state = await look(purpose);
  const wanted = lacks(state, purpose);
  if (wanted.length > 0) {
    const failure = getDebianPackages({
      mesa: wanted.includes("lavapipe"),
      chromium: wanted.includes("chromium") || wanted.includes("swiftshader"),
      system,
    });
    state = await look(purpose);
    for (const name of lacks(state, purpose)) state.missing[name] = cure(name, failure);
  }
  writeState(state);
  return state;
}

/**
 * @param {Purpose} purpose
 * @returns {Promise<SetupState>} What this machine and the cache hold now
 */
async function look(purpose) {
  const [own, lavapipe, swiftshader] = await Promise.all([
    probeAdapter({}),
    findDriver("lavapipe"),
    findDriver("swiftshader"),
  ]);
  return {
    platform: PLATFORM,
    purpose,
    adapter: own !== null && !own.software ? own : null,
    drivers: { lavapipe, swiftshader },
    chromium: findChromium(),
    missing: {},
  };
}

/**
 * @param {SetupState} state
 * @param {Purpose} purpose
 * @returns {("lavapipe" | "swiftshader" | "chromium")[]}
 */
function lacks({ adapter, drivers, chromium }, purpose) {
  if (purpose === "demo") {
    return (adapter ?? drivers.lavapipe ?? drivers.swiftshader) ? [] : ["lavapipe"];
  }
  return [
    ...(drivers.lavapipe ? [] : [/** @type {const} */ ("lavapipe")]),
    ...(drivers.swiftshader ? [] : [/** @type {const} */ ("swiftshader")]),
    ...(chromium ? [] : [/** @type {const} */ ("chromium")]),
  ];
}

/**
 * @param {"lavapipe" | "swiftshader" | "chromium"} name
 * @param {string | null} failure
 */
function cure(name, failure) {
  const tried = failure === null ? "" : ` (${failure})`;
  if (debianRelease() !== null) {
    const offline = "when this machine is online run `npm run setup`";
    return `not found, and not to be had${tried}; ${offline}, or as root \`npm run setup -- --system\``;
  }
  const by = {
    lavapipe:
      "install Mesa's software Vulkan driver, 23 or newer, and the Vulkan loader " +
      "(Fedora: mesa-vulkan-drivers vulkan-loader; Arch: vulkan-swrast vulkan-icd-loader)",
    swiftshader: "install Chromium or Chrome: SwiftShader comes with it",
    chromium: "install Chromium or Chrome in its usual place",
  };
  const elsewhere = process.platform === "linux" ? by[name] : otherSystems(name);
  return `not found; ${elsewhere}, then run \`npm run setup\``;
}

/** @param {"lavapipe" | "swiftshader" | "chromium"} name */
function otherSystems(name) {
  if (name === "chromium") return "install Google Chrome in its usual place";
  return "software Vulkan drivers are looked for on Linux only, use Debian 12 in a container";
}

/** @param {SetupState} state */
export function describe({ adapter, drivers, chromium, missing }) {
  return [
    `gpu          ${adapter ? adapter.description || adapter.vendor : "none (no hardware adapter)"}`,
    `lavapipe     ${drivers.lavapipe?.adapter.description ?? missing.lavapipe ?? "none"}`,
    `swiftshader  ${drivers.swiftshader?.adapter.description ?? missing.swiftshader ?? "none"}`,
    `chromium     ${chromium?.version ?? missing.chromium ?? "none"}`,
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const system = process.argv.includes("--system") || process.env.CI === "true";
  try {
    for (const line of describe(await setup({ purpose: "test", system, again: true }))) say(line);
  } catch (error) {
    say(`setup: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
