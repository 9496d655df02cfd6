// Starts the built command line on the best adapter that set-up found: the machine's own GPU, else
// a software Vulkan driver. Decides nothing for a user who named a driver in the environment.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { driverEnvironment, ROOT } from "./setup/state.mjs";

const CLI = join(ROOT, "dist", "cli.js");

/**
 * @param {import("./setup/state.mjs").SetupState | null} state null: set-up never ran here
 * @returns {{ name: string, env: Record<string, string>, reference: boolean }}
 */
export function chooseDevice(state) {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (named !== undefined) return { name: `the driver ${named}`, env: {}, reference: false };
  if (state?.adapter) return { name: state.adapter.description, env: {}, reference: false };
  const driver = state?.drivers.lavapipe ?? state?.drivers.swiftshader;
  if (driver) {
    const name = `${driver.adapter.description} (a software driver: this machine has no GPU)`;
    return { name, env: driverEnvironment(driver), reference: false };
  }
  return { name: "the reference device (no WebGPU adapter)", env: {}, reference: true };
}

/**
 * Run dist/cli.js with these arguments and end this process with its exit status.
 * @param {string[]} args
 * @param {Record<string, string>} env Added to the environment
 */
export async function launch(args, env) {
  // The Vulkan loader reads the environment when Dawn loads, so a variable set now still counts;
  // the dynamic linker read LD_LIBRARY_PATH when this process started, so that needs a new one.
  if (!("LD_LIBRARY_PATH" in env)) {
    Object.assign(process.env, env);
    process.argv = [process.execPath, CLI, ...args];
    await import(pathToFileURL(CLI).href);
    return;
  }
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  // The terminal sends its signals to both: the child decides how to end.
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    process.stderr.write(`weft: cannot start ${process.execPath}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("close", (code) => {
    process.exitCode = code ?? 1;
  });
}
