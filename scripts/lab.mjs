// Serves the kernel lab's page on this machine, or runs it in headless Chromium and writes what it
// measured.
//
//   npm run lab                                             serve it; open the address it prints
//   npm run lab -- --headless --report F.html --json F.json   run it, quick, on SwiftShader
//
// onnxruntime-web stands beside ours when `npm install` has run in bench/lab.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildIfStale } from "./build.mjs";
import { launchChromium } from "./headless.mjs";
import { ROOT, say } from "./setup/state.mjs";
import { serveFolders } from "./static-server.mjs";

const FOLDERS = {
  "/ort/": join(ROOT, "bench", "lab", "node_modules", "onnxruntime-web", "dist"),
  "/": join(ROOT, "dist"),
};

/** @param {number} port 0 for any @returns {Promise<{ url: string, close(): void }>} */
export async function serveLab(port) {
  const { origin, close } = await serveFolders(FOLDERS, port);
  return { url: `${origin}/lab/`, close };
}

/** @param {string} url @param {Record<string, string | boolean | undefined>} values */
async function runHeadless(url, values) {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.on("pageerror", (error) => say(`lab: ${error.message}`));
    const filter = typeof values.filter === "string" ? `&filter=${values.filter}` : "";
    await page.goto(`${url}?run${filter}`);
    await page.waitForFunction("globalThis.labResult || globalThis.labError", null, {
      timeout: 1_200_000,
      polling: 500,
    });
    const failure = await page.evaluate("globalThis.labError");
    if (failure) throw new Error(`${failure}`);
    const result = await page.evaluate("globalThis.labResult");
    if (values.screenshot) {
      await page.screenshot({ path: `${values.screenshot}`, fullPage: true });
    }
    if (values.report) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.click("[data-file=report]"),
      ]);
      await download.saveAs(`${values.report}`);
    }
    if (values.json) writeFileSync(`${values.json}`, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await browser.close();
  }
}

/** @type {import("node:util").ParseArgsConfig["options"]} */
const OPTIONS = {
  port: { type: "string" },
  headless: { type: "boolean" },
  filter: { type: "string" },
  report: { type: "string" },
  json: { type: "string" },
  screenshot: { type: "string" },
};

try {
  const { values } = parseArgs({ options: OPTIONS });
  await buildIfStale();
  const lab = await serveLab(Number(values.port ?? 0));
  if (values.headless) {
    const wanted = /** @type {Record<string, string | boolean>} */ (values);
    await runHeadless(lab.url, wanted).finally(lab.close);
  } else say(`The kernel lab is at ${lab.url} (Ctrl-C ends it)`);
} catch (error) {
  say(`lab: ${error instanceof Error ? error.message : error}`);
  process.exitCode = /** @type {{ code?: string }} */ (error).code?.startsWith("ERR_PARSE") ? 2 : 1;
}
