// Engines in workers, as pages use them: the built package, real tabs, headless Chromium. Node drives
// it, since a tab that closes or freezes is nothing a page can do to itself.

import type { Browser, BrowserContext, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildIfStale } from "../../scripts/build.mjs";
import type * as Worker_ from "../../worker.ts";
import { launchChromium, noChromium } from "../harness/chromium.ts";
import { type PageServer, servePages } from "../harness/page-server.ts";
import { scale } from "../harness/soak.ts";

const TAB = `<!doctype html><title>tab</title><link rel="icon" href="data:">
<script type="module">
  import * as weft from "/dist/worker.js";
  globalThis.weft = weft;
  globalThis.open = (options) => weft.createEngine({
    model: new URL("/shallow", location.href).href, store: false, maxRows: 4, maxTokensPerPlan: 64, ...options,
  });
  globalThis.ids = async (engine, request, onChunk) => {
    const ids = [];
    for await (const { tokenIds } of engine.generate({ ignoreEos: true, ...request })) {
      ids.push(...tokenIds);
      onChunk?.(ids.length);
    }
    return ids;
  };
</script>`;

/** What the README tells people to write. */
const TEN_LINES = `<!doctype html><title>ten lines</title><link rel="icon" href="data:"><p></p>
<script type="module">
  import { createEngine } from "/dist/worker.js";
  const engine = await createEngine({ model: "/models/demo" });
  const stream = await engine.chat.completions.create({
    messages: [{ role: "user", content: "Tell me a story about a fox named Lily." }],
    stream: true, temperature: 0,
  });
  for await (const chunk of stream)
    document.querySelector("p").append(chunk.choices[0].delta.content ?? "");
  document.title = "done";
</script>`;

/** In a tab. */
declare const weft: typeof Worker_;
type Engine = Worker_.EngineApi;
declare function open(options?: object): Promise<Engine>;
declare function ids(
  engine: Engine,
  request: object,
  onChunk?: (count: number) => void,
): Promise<number[]>;
declare const scope: { engine: Engine; answers: Promise<number[][]>; workers: Worker[] };

describe.skipIf(noChromium)(noChromium ?? "in Chromium", () => {
  let server: PageServer;
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    await buildIfStale();
    server = await servePages({ pages: { "/": TAB, "/ten-lines": TEN_LINES } });
    browser = await launchChromium();
    context = await browser.newContext();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  async function tab(): Promise<Page> {
    const page = await context.newPage();
    await page.goto(server.url);
    await page.waitForFunction("globalThis.weft");
    await page.evaluate("globalThis.scope = {}");
    return page;
  }

  const inSoak = scale("tabs", 0, 1) === 1;
  /** For a new worker SwiftShader compiles anew. The gate has them in Node and in a page's own engine. */
  const WHEN = "in soak: SwiftShader compiles for each worker";
  test.runIf(inSoak)(`constrained answers, both kinds of workers (${WHEN})`, async () => {
    const page = await tab();
    const schema = {
      type: "object",
      properties: { fox: { type: "string", maxLength: 8 }, age: { type: "integer" } },
      required: ["fox", "age"],
    };
    const kinds = [false, true];
    const texts = await page.evaluate(
      async ([schema, kinds]) => {
        const answers: string[] = [];
        for (const shared of kinds) {
          const engine = await open({ shared });
          const { choices } = await engine.chat.completions.create({
            messages: [{ role: "user", content: "A fox" }],
            temperature: 2,
            max_completion_tokens: 30,
            response_format: { type: "json_schema", json_schema: { name: "fox", schema } },
          });
          answers.push(choices[0].finish_reason, choices[0].message.content ?? "");
          await engine.close();
        }
        return answers;
      },
      [schema, kinds] as const,
    );
    for (const [i, text] of texts.entries()) {
      if (i % 2 === 0) expect(text).toBe("stop");
      else expect(JSON.parse(text)).toEqual({ fox: expect.any(String), age: expect.any(Number) });
    }
    // The worker that knows grammars, and nothing of the kind for pages that ask for none.
    expect([...server.sent.keys()]).toContain("/dist/worker/constraint-worker.js");
    await page.close();
  });

  test("ten lines stream on the GPU", { timeout: 60_000 }, async () => {
    const page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    await page.goto(`${server.url}/ten-lines`);
    await page.waitForFunction("document.title === 'done'", null, { timeout: 60_000 });
    expect(errors).toEqual([]);
    expect(await page.textContent("p")).toMatch(/Lily.*fox|fox.*Lily/s);
    await page.close();
  });

  test.runIf(inSoak)(`four conversations at once on the GPU (${WHEN})`, async () => {
    const page = await tab();
    const { alone, together, most } = await page.evaluate(async () => {
      const engine = await open({});
      const requests = [0, 1, 2, 3].map((i) => ({
        prompt: `Story ${i}: once upon a time`.slice(i),
        ...{ temperature: i / 2, seed: i, maxTokens: 20 },
      }));
      const alone: number[][] = [];
      for (const request of requests) alone.push(await ids(engine, request));
      let most = 0;
      const together = await Promise.all(
        requests.map((request) =>
          ids(engine, request, async () => {
            most = Math.max(most, (await engine.metrics()).now.running);
          }),
        ),
      );
      await engine.close();
      return { alone, together, most };
    });
    expect(together).toEqual(alone);
    expect(most).toBe(4);
    await page.close();
  });

  test("a second tab loads no second copy, and outlives the first", async () => {
    const first = await tab();
    const load = (page: Page) =>
      page.evaluate(async () => {
        scope.engine = await open({ device: "reference", shared: true });
        return ids(scope.engine, { prompt: "Once", seed: 7, maxTokens: 20 });
      });
    const weights = "/shallow/model.safetensors";
    const before = server.sent.get(weights) ?? 0;
    const expected = await load(first);
    const once = (server.sent.get(weights) ?? 0) - before;
    expect(once).toBeGreaterThan(100_000);
    const second = await tab();
    expect(await load(second)).toEqual(expected);
    expect((server.sent.get(weights) ?? 0) - before).toBe(once);
    // One that is closed in mid-stream frees what it held, and disturbs nobody.
    await first.evaluate(() => {
      void ids(scope.engine, { prompt: "Once", maxTokens: 100_000 / 100 });
    });
    const now = () => second.evaluate(async () => (await scope.engine.metrics()).now);
    await expect.poll(async () => (await now()).running).toBe(1);
    await first.close();
    await expect.poll(async () => (await now()).running).toBe(0);
    expect(await load(second)).toEqual(expected);
    await second.close();
  });

  test("a worker that is ended under eight streams is replaced", async () => {
    const page = await tab();
    const { expected, runs, numWorkers } = await page.evaluate(async () => {
      const workers: Worker[] = [];
      const worker = () => {
        workers.push(new Worker("/dist/engine-worker.js", { type: "module" }));
        return workers.at(-1)!;
      };
      const engine = await open({ device: "reference", worker });
      const requests = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => ({
        prompt: `${i} upon a time`,
        ...{ temperature: i / 4, seed: i, maxTokens: 10 + i },
      }));
      const all = (onChunk?: () => void) =>
        Promise.all(requests.map((request) => ids(engine, request, onChunk)));
      const expected = await all();
      const runs: number[][][] = [];
      for (const at of [1, 9, 30, 60, 107]) {
        let count = 0;
        runs.push(await all(() => void (++count === at && workers.at(-1)!.terminate())));
      }
      await engine.close();
      return { expected, runs, numWorkers: workers.length };
    });
    for (const run of runs) expect(run).toEqual(expected);
    expect(numWorkers).toBe(6);
    await page.close();
  });

  test("a page that is frozen goes on when it is shown again", async () => {
    const page = await tab();
    const expected = await page.evaluate(async () => {
      scope.engine = await open({ device: "reference" });
      const request = { prompt: "Once", seed: 7, maxTokens: 200 };
      const expected = await ids(scope.engine, request);
      scope.answers = Promise.all([ids(scope.engine, request)]);
      return expected;
    });
    const session = await context.newCDPSession(page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await session.send("Page.setWebLifecycleState", { state: "active" });
    expect(await page.evaluate(() => scope.answers)).toEqual([expected]);
    await page.close();
  });

  test("the quantum follows what the page tells of itself", async () => {
    const page = await tab();
    const quanta = await page.evaluate(async () => {
      const engine = await open({ device: "reference" });
      const seen: (number | undefined)[] = [];
      const tell = async (state: string, event: string) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event(event));
        seen.push((await engine.metrics()).now.quantumMs);
      };
      await tell("visible", "visibilitychange");
      await tell("hidden", "visibilitychange");
      await tell("visible", "visibilitychange");
      await engine.close();
      return seen;
    });
    expect(quanta).toEqual([8, 50, 8]);
    await page.close();
  });

  test("a script that is not there is a typed error", async () => {
    const page = await tab();
    const error = await page.evaluate(async () => {
      const worker = () => new Worker("/dist/no-such-worker.js", { type: "module" });
      return open({ worker }).catch((error) => ({ name: error.name, ...error.toJSON() }));
    });
    expect(error).toMatchObject({ name: "WeftError", code: "worker_failed" });
    await page.close();
  });
});
