// Asks Dawn, in a process of its own, which adapter it gives under some environment. A driver
// counts as present only if this answers: a manifest on disk proves nothing.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ROOT } from "./state.mjs";

const PROBE_LIMIT_MS = 30_000;
const SOFTWARE = /llvmpipe|swiftshader|software|basic render/i;

/**
 * @param {Record<string, string>} environment Added to this process's environment
 * @returns {Promise<import("./state.mjs").Adapter | null>} null: no adapter, or the driver crashed
 */
export function probeAdapter(environment) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
      cwd: ROOT,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: PROBE_LIMIT_MS,
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.on("error", () => resolve(null));
    child.on("close", (code) => resolve(code === 0 ? JSON.parse(output) : null));
  });
}

async function main() {
  const { create } = await import("webgpu");
  // Dawn crashes if its `gpu` object is collected while an adapter lives.
  const gpu = create([]);
  Object.assign(globalThis, { weftGpu: gpu });
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) return process.exit(3);
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const software = isFallbackAdapter || SOFTWARE.test(`${architecture} ${description}`);
  process.stdout.write(JSON.stringify({ vendor, architecture, description, software }), () =>
    process.exit(0),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
