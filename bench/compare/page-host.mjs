// A session in a page of headless Chromium: the same modules as in Node, called through Playwright.
// Runs in the subject's own process.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import { serveFiles } from "./file-server.mjs";
import { MOUNTS, ROOT, WEFT_BUNDLE } from "./places.mjs";

/** @typedef {import("./session-host.mjs").SessionHost} SessionHost */

/**
 * @param {{ executable: string, env: Record<string, string>, args: string[] }} browserOptions
 * @param {boolean} withWeft
 * @returns {Promise<SessionHost>}
 */
export async function openPageHost({ executable, env, args }, withWeft) {
  const server = await serveFiles(MOUNTS, withWeft ? { [WEFT_BUNDLE]: await weftBundle() } : {});
  const browser = await chromium.launch({
    executablePath: executable,
    headless: true,
    env: { .../** @type {Record<string, string>} */ (process.env), ...env },
    args,
  });
  const page = await browser.newPage();
  /** @type {string[]} */
  const log = [];
  page.on("console", (message) => log.push(...message.text().split("\n")));
  page.on("pageerror", (error) => log.push(String(error)));
  await page.goto(server.url);
  const adapter = await page.evaluate(witnessWebGpu);
  return {
    coldStart: (engine, options, prompt, genTokens) =>
      page.evaluate(startInPage, { engine, options, prompt, genTokens }),
    ask: (prompts, genTokens) => page.evaluate(askInPage, { prompts, genTokens }),
    async evidence() {
      const submissions = await page.evaluate(inspectInPage);
      return { ...adapter, submissions, drivers: [], log };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

async function weftBundle() {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["index.ts"],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

// What follows runs in the page, so each function stands alone; `globalThis.compare` is its memory.

/** Counts what the page submits from here on. */
async function witnessWebGpu() {
  const memory = { submissions: 0 };
  Object.assign(globalThis, { compare: memory });
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { adapter: "", f16: false };
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (/** @type {Iterable<GPUCommandBuffer>} */ commands) {
    memory.submissions++;
    return submit.call(this, commands);
  };
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ");
  return { adapter: name, f16: adapter.features.has("shader-f16") };
}

/** @param {{ engine: string, options: any, prompt: import("./protocol.mjs").Prompt, genTokens: number }} start */
async function startInPage({ engine, options, prompt, genTokens }) {
  const base = "/compare/sessions";
  const { coldStart, ask } = await import(`${base}/session.mjs`);
  const { open } = await import(`${base}/${engine}.mjs`);
  // A URL without a host is a local path to an engine.
  const model = engine === "weft" ? { model: location.origin + options.model } : {};
  const { session, cold, info } = await coldStart(
    open,
    { ...options, ...model },
    prompt,
    genTokens,
  );
  Object.assign(/** @type {any} */ (globalThis).compare, { session, ask });
  return { cold, info };
}

/** @param {{ prompts: import("./protocol.mjs").Prompt[], genTokens: number }} batch */
function askInPage({ prompts, genTokens }) {
  const { session, ask } = /** @type {any} */ (globalThis).compare;
  return ask(session, prompts, genTokens);
}

async function inspectInPage() {
  const { session, submissions } = /** @type {any} */ (globalThis).compare;
  await session.inspect?.();
  return submissions;
}
