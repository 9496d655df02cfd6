// The Chromium that set-up found, with WebGPU on SwiftShader, for pages that run by themselves.

import { readState } from "./setup/state.mjs";

/** @returns {Promise<import("playwright").Browser>} @throws where set-up found none */
export async function launchChromium() {
  const found = readState()?.chromium;
  if (!found) throw new Error("no Chromium was found; run npm run setup");
  const { chromium } = await import("playwright");
  return chromium.launch({
    executablePath: found.path,
    env: { ...process.env, ...found.env },
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  });
}
