// The adapters that this machine's subjects run on: its own GPU, else a software driver for Node and
// SwiftShader for Chromium, as the root's set-up found them.

import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./places.mjs";

/**
 * @typedef {object} Machine
 * @property {boolean} hasGpu
 * @property {string} nodeAdapter Description of what Dawn gives in Node
 * @property {Record<string, string>} nodeEnv Under which it does
 * @property {string} nodeDriver Part of that driver's file name; empty for the machine's own GPU
 * @property {{ executable: string, env: Record<string, string>, args: string[], version: string }} browser
 * @property {{ cpu: string, cores: number, node: string }} host
 * @property {number} threads Of engines on the processor
 */

const SOFTWARE_GPU = ["--use-webgpu-adapter=swiftshader"];
const OWN_GPU = process.platform === "linux" ? ["--enable-features=Vulkan"] : [];

/** @returns {Promise<Machine>} @throws with the cure, if the tests' set-up lacks something */
export async function findMachine() {
  const { setup } = await import(pathToFileURL(join(ROOT, "scripts/setup.mjs")).href);
  const { driverEnvironment } = await import(
    pathToFileURL(join(ROOT, "scripts/setup/state.mjs")).href
  );
  /** @type {import("../../scripts/setup/state.mjs").SetupState} */
  const { adapter, drivers, chromium, missing } = await setup({ purpose: "test" });
  const driver = adapter === null ? drivers.lavapipe : null;
  const described = adapter ?? driver?.adapter;
  if (described === undefined) throw new Error(`no WebGPU adapter in Node: ${missing.lavapipe}`);
  if (chromium === null) throw new Error(`no Chromium: ${missing.chromium}`);
  return {
    hasGpu: adapter !== null,
    nodeAdapter: described.description,
    nodeEnv: driver ? driverEnvironment(driver) : {},
    nodeDriver: driver ? driverFile(driver.icd) : "",
    browser: {
      executable: chromium.path,
      env: chromium.env,
      version: chromium.version,
      args: ["--no-sandbox", "--enable-unsafe-webgpu", ...(adapter ? OWN_GPU : SOFTWARE_GPU)],
    },
    // llama.cpp's threads wait by spinning: with one on every core, whatever else runs stalls it.
    threads: Math.max(1, cpus().length - 1),
    host: { cpu: cpus()[0].model, cores: cpus().length, node: process.version },
  };
}

/** The library that a Vulkan manifest names. @param {string} icd */
function driverFile(icd) {
  return basename(JSON.parse(readFileSync(icd, "utf8")).ICD.library_path);
}

/** Processes that wanted a core, in the last minute: what else the machine was doing. */
export const loadOfMachine = () => Math.round(loadavg()[0] * 10) / 10;
