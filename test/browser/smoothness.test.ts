// A page's frames while eight streams run in its worker on the GPU: with the quantum of a page, and
// without any. Printed, not judged: SwiftShader plays GPU on the processors that the page runs on.

import type { Browser } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildIfStale } from "../../scripts/build.mjs";
import type { EngineMetrics } from "../../worker.ts";
import { launchChromium, noChromium } from "../harness/chromium.ts";
import { type PageServer, servePages } from "../harness/page-server.ts";
import { report, scale } from "../harness/soak.ts";

const TAB = `<!doctype html><title>tab</title><link rel="icon" href="data:">
<script type="module">
  import { createEngine } from "/dist/worker.js";
  globalThis.measure = async (quantumMs) => {
    const engine = await createEngine({ model: "/models/demo", quantumMs, maxRows: 8 });
    const one = async (i) => {
      const prompt = "Once upon a time there was a fox. ".repeat(2 + 3 * (i % 5));
      for await (const _ of engine.generate({ prompt, maxTokens: 40, ignoreEos: true, seed: i }));
    };
    await one(0);
    const clients = Array.from({ length: 8 }, async (_, i) => { for (let n = 0; n < 3; n++) await one(8 * n + i); });
    await Promise.all(clients);
    const metrics = await engine.metrics();
    await engine.close();
    return metrics;
  };
</script>`;

const isSoak = scale("smoothness", 0, 1) === 1;
let server: PageServer;
let browser: Browser;

beforeAll(async () => {
  if (!isSoak || noChromium) return;
  await buildIfStale();
  server = await servePages({ pages: { "/": TAB } });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test.runIf(isSoak && !noChromium)(
  "frames of a page beside eight streams (in soak: it is timed)",
  { timeout: 3_600_000 },
  async () => {
    const page = await browser.newPage();
    await page.goto(server.url);
    await page.waitForFunction("globalThis.measure");
    for (const quantumMs of ["8", "Infinity"]) {
      const metrics = (await page.evaluate(`measure(${quantumMs})`)) as EngineMetrics;
      const { frames, recent, now, total } = metrics;
      const { submissionMs } = recent;
      console.log(JSON.stringify({ quantumMs, quantumNow: now.quantumMs, frames, submissionMs }));
      report("smoothness", { quantumMs, frames, submissionMs, gpuMs: total.gpuMs });
      expect(frames?.count).toBeGreaterThan(10);
    }
  },
);
