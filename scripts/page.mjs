// Serves the demo page on this machine, with the demo models, or opens it in headless Chromium and
// takes a picture once an answer has come.
//
//   npm run page                                          serve it; open the address it prints
//   npm run page -- --headless --screenshot F.png [--theme dark] [--wait SECONDS]

import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildIfStale } from "./build.mjs";
import { launchChromium } from "./headless.mjs";
import { installPackages } from "./setup/packages.mjs";
import { ROOT, say } from "./setup/state.mjs";
import { setup } from "./setup.mjs";
import { serveFolders } from "./static-server.mjs";

/** The lab has its page beside, and what others measured is linked from it. */
const FOLDERS = {
  "/models/": join(ROOT, "assets"),
  "/reports/": join(ROOT, "docs", "results"),
  "/ort/": join(ROOT, "bench", "lab", "node_modules", "onnxruntime-web", "dist"),
  "/": join(ROOT, "dist"),
};

/** @param {number} port 0 for any @returns {Promise<{ url: string, close(): void }>} */
export async function servePage(port) {
  const { origin, close } = await serveFolders(FOLDERS, port);
  return { url: `${origin}/page/`, close };
}

/**
 * Asks in two conversations at once, with a story in the background, and looks.
 * @param {string} url @param {Record<string, string | boolean | undefined>} values
 */
async function runHeadless(url, values) {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 960 } });
    const broken = new Promise((_, reject) => page.on("pageerror", reject));
    // It may come while nobody waits for it.
    broken.catch(() => {});
    page.on("console", (message) => {
      // A model's folder may lack files that are looked for.
      const isMissing = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isMissing) say(`page: ${message.text()}`);
    });
    const theme = values.theme === undefined ? "" : `&theme=${values.theme}`;
    await page.goto(`${url}?ask${theme}`);
    const answered = page.waitForFunction("globalThis.pageAnswered || globalThis.pageError", null, {
      timeout: 600_000,
      polling: 250,
    });
    await Promise.race([answered, broken]);
    const failure = await page.evaluate("globalThis.pageError");
    if (failure) throw new Error(`${failure}`);
    if (values.wait) await page.waitForTimeout(1000 * Number(values.wait));
    if (values.screenshot) await page.screenshot({ path: `${values.screenshot}` });
  } finally {
    await browser.close();
  }
}

/** @type {import("node:util").ParseArgsConfig["options"]} */
const OPTIONS = {
  port: { type: "string" },
  headless: { type: "boolean" },
  screenshot: { type: "string" },
  theme: { type: "string" },
  wait: { type: "string" },
};

try {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.headless) await setup({ purpose: "test" });
  else installPackages();
  await buildIfStale();
  const page = await servePage(Number(values.port ?? 0));
  if (values.headless) {
    const wanted = /** @type {Record<string, string | boolean>} */ (values);
    await runHeadless(page.url, wanted).finally(page.close);
  } else say(`The page is at ${page.url} (Ctrl-C ends it)`);
} catch (error) {
  say(`page: ${error instanceof Error ? error.message : error}`);
  process.exitCode = /** @type {{ code?: string }} */ (error).code?.startsWith("ERR_PARSE") ? 2 : 1;
}
