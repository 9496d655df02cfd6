// What is written for somebody else's models, in a page: the official `openai` client and the AI SDK without a
// server, and the server's endpoints in a service worker. The built package, headless Chromium.

import { basename, join } from "node:path";
import { type BuildOptions, build } from "esbuild";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildIfStale } from "../../scripts/build.mjs";
import { failures, launchChromium, noChromium } from "../harness/chromium.ts";
import { type PageServer, servePages } from "../harness/page-server.ts";
import type { page as ClientsPage } from "./clients-page.ts";

/** In the page. */
declare const clients: typeof ClientsPage;

const DIST = join(import.meta.dirname, "..", "..", "dist");
const PAGE = `<!doctype html><link rel="icon" href="data:"><script type="module" src="/clients-page.js"></script>`;
const SORTED = "Sorted: apple, pear, wolf";

/** As a user's bundler does, by path. */
async function bundled(names: readonly string[], options: BuildOptions = {}) {
  const door = (name: string) => join(DIST, `${name}.js`);
  const { outputFiles } = await build({
    entryPoints: names.map((name) => join(import.meta.dirname, `${name}.ts`)),
    ...{ outdir: "/", bundle: true, format: "esm", write: false, logLevel: "error" },
    alias: {
      "weft-llm/worker": door("worker"),
      "weft-llm/ai-sdk": door("ai-sdk"),
      "weft-llm/server": door("server-in-page"),
      "weft-llm": door("index"),
    },
    ...options,
  });
  return Object.fromEntries(outputFiles!.map(({ path, text }) => [`/${basename(path)}`, text]));
}

describe.skipIf(noChromium)(noChromium ?? "in Chromium", () => {
  let server: PageServer;
  let browser: Browser;
  let page: Page;
  let faults: string[];

  beforeAll(async () => {
    await buildIfStale();
    const whole = await bundled(["clients-page", "clients-service-worker", "own-service-worker"]);
    const parts = await bundled(["own-service-worker"], {
      ...{ splitting: true, entryNames: "in-parts", chunkNames: "[name]-[hash]" },
    });
    server = await servePages({ pages: { "/": PAGE, ...whole, ...parts } });
    browser = await launchChromium();
    page = await browser.newPage();
    faults = failures(page);
    await page.goto(server.url);
    await page.waitForFunction("globalThis.clients");
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  const expected = {
    pieces: expect.any(Array),
    person: expect.stringMatching(/^\{"name": *"Anna", *"age": *31\}$/),
    refused: [true, "model_not_found"],
  };

  test("openai's client asks the engine, and no server", async () => {
    const answers = await page.evaluate(() => clients.openai());
    expect(answers).toEqual(expected);
    expect(answers.pieces.join("").trim()).toBe(SORTED);
    expect(answers.pieces.length).toBeGreaterThan(4);
    await expect.poll(() => page.evaluate(() => clients.running())).toBe(0);
  });

  test("the AI SDK streams text and objects", async () => {
    const { pieces, object } = await page.evaluate(() => clients.aiSdk());
    expect([pieces.join("").trim(), object]).toEqual([SORTED, { name: "Anna", age: 31 }]);
    expect(pieces.length).toBeGreaterThan(4);
  });

  test("a service worker answers with the engine of the page's worker", async () => {
    await page.evaluate(() => clients.serveFrom("/clients-service-worker.js"));
    const loaded = server.sent.get("/models/demo/model.safetensors");
    const answers = await page.evaluate(() => clients.overServiceWorker());
    expect(answers).toEqual(expected);
    expect(answers.pieces.join("").trim()).toBe(SORTED);
    expect(server.sent.get("/models/demo/model.safetensors")).toBe(loaded);
    await expect.poll(() => page.evaluate(() => clients.running())).toBe(0);
  });

  test("an engine in a service worker needs a script of one file, and says so", async () => {
    const made = (script: string) => page.evaluate((url) => clients.madeIn(url), script);
    expect(await made("/own-service-worker.js")).toBe("shallow");
    expect(await made("/in-parts.js")).toMatchObject({
      ...{ name: "WeftError", code: "bad_config" },
      message: expect.stringMatching(/no import\(\).*one file.*connectEngine/),
    });
    expect(faults).toEqual([]);
  });
});
