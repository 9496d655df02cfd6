// The example's pages as they are built, in headless Chromium: the chat in a page, the host of engines in a frame
// that can be taken away, each behind the built preload. Only Electron's own part is played by the test: a
// `require("electron")` for the preloads, and a main process that makes channels.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ChatMessage, createEngine, type Engine } from "weft-llm/node";
import { buildExample } from "../../apps/electron/build.mjs";
import { failures, launchChromium, noChromium } from "../harness/chromium.ts";
import { type AppServer, serveApp } from "./app-server.ts";

const ASSETS = join(import.meta.dirname, "..", "..", "assets");
const HOW = { device: "reference", maxRows: 4, maxTokensPerPlan: 64 } as const;
const QUESTIONS = ["Sort these words: pear, wolf, apple", "Reverse: pear, wolf"];

/** In the top page, for the test. */
interface Main {
  readonly numHosts: number;
  /** As soon as there are so many lines in the chat, and something in the last. */
  crashAtLine(count: number): void;
}
declare const main: Main;

interface Part {
  readonly engineOptions: object;
  /** What those who ask for a port are told in its stead. */
  readonly refusal?: string;
}

/** In every frame before its own scripts: `require` for the preload; in the top one, the main process. */
function electron({ engineOptions, refusal }: Part): void {
  type Listener = (event: { ports: readonly MessagePort[] }) => void;
  type Frame = Window & { onPorts: Listener; main: Main };
  type Top = Frame & { invoke(asking: Frame, channel: string): Promise<unknown> };
  const frame = window as unknown as Frame;
  const top = window.top as unknown as Top;
  const ipcRenderer = {
    on: (_: string, listener: Listener) => {
      frame.onPorts = listener;
    },
    invoke: (channel: string) => top.invoke(frame, channel),
  };
  const contextBridge = {
    exposeInMainWorld: (name: string, api: object) => Object.assign(window, { [name]: api }),
  };
  Object.assign(window, { require: () => ({ ipcRenderer, contextBridge }) });
  if (frame !== top) return;

  const windowOf = (src: string) =>
    new Promise<HTMLIFrameElement>((resolve) => {
      const element = document.createElement("iframe");
      element.src = src;
      element.onload = () => resolve(element);
      document.body.append(element);
    });
  let host: Promise<HTMLIFrameElement> | undefined;
  let numHosts = 0;
  top.invoke = async (asking, channel) => {
    if (channel === "weft-engine-options") return engineOptions;
    if (refusal) throw new Error(refusal);
    if (!host) numHosts += 1;
    host ??= windowOf("/host.html");
    const { contentWindow } = await host;
    const { port1, port2 } = new MessageChannel();
    (contentWindow as unknown as Frame).onPorts({ ports: [port2] });
    asking.onPorts({ ports: [port1] });
    return undefined;
  };
  frame.main = {
    get numHosts() {
      return numHosts;
    },
    crashAtLine(count) {
      const chat = document.querySelector<HTMLIFrameElement>("iframe[src='/window.html']")!;
      const list = chat.contentDocument!.querySelector("ol")!;
      const observer = new MutationObserver(() => {
        if (list.children.length < count || !list.lastChild!.textContent) return;
        observer.disconnect();
        document.querySelector("iframe[src='/host.html']")!.remove();
        host = undefined;
      });
      observer.observe(list, { childList: true, subtree: true });
    },
  };
  addEventListener("load", () => void windowOf("/window.html"));
}

describe.skipIf(noChromium)(noChromium ?? "in Chromium", () => {
  const built = mkdtempSync(join(tmpdir(), "weft-electron-"));
  let app: AppServer;
  let browser: Browser;
  let node: Engine;
  let page: Page;
  let errors: string[];

  beforeAll(async () => {
    await buildExample(built);
    app = await serveApp({ "/models/": ASSETS, "/": built });
    browser = await launchChromium();
    node = await createEngine({ model: "demo", ...HOW });
  });
  afterAll(async () => {
    await node?.close();
    await browser?.close();
    app?.close();
    rmSync(built, { recursive: true });
  });
  afterEach(async () => {
    expect(errors).toEqual([]);
    await page.close();
  });

  async function openChat(refusal?: string): Promise<void> {
    page = await browser.newPage();
    errors = failures(page);
    page.on("console", (message) => {
      // What a policy forbids, and files that are not there, are said here alone.
      if (message.type() === "error" && !/404/.test(message.text())) errors.push(message.text());
    });
    const engineOptions = { model: `${app.url}/models/demo`, store: false, ...HOW };
    await page.addInitScript(electron, { engineOptions, refusal });
    await page.addInitScript({ content: `{${readFileSync(join(built, "preload.cjs"), "utf8")}}` });
    const top = { contentType: "text/html", body: "<!doctype html><title>main</title>" };
    await page.route("**/main", (route) => route.fulfill(top));
    await page.goto(`${app.url}/main`);
  }

  const chat = () => page.frameLocator("iframe[src='/window.html']");

  const status = (text: string | RegExp) =>
    expect.poll(() => chat().getByRole("status").textContent(), { timeout: 30_000 }).toMatch(text);

  const said = () => chat().locator("li").allTextContents();

  async function ask(question: string): Promise<void> {
    await chat().getByLabel("Question").fill(question);
    await chat().getByRole("button").click();
  }

  /** In one conversation, as the chat holds it. */
  async function answersOf(engine: Engine, questions: readonly string[]): Promise<string[]> {
    const messages: ChatMessage[] = [];
    for (const content of questions) {
      messages.push({ role: "user", content });
      const answer = await engine.chat.completions.create({ messages, temperature: 0 });
      messages.push({ role: "assistant", content: answer.choices[0].message.content });
    }
    return messages.map(({ content }) => `${content}`);
  }

  test("the chat says what the engine in Node does, also when its host goes in mid-answer", async () => {
    await openChat();
    await status("Ready");
    const expected = await answersOf(node, QUESTIONS);
    await ask(QUESTIONS[0]);
    await status("Ready");
    expect(await said()).toEqual(expected.slice(0, 2));
    expect(await page.evaluate(() => main.numHosts)).toBe(1);
    await page.evaluate(() => main.crashAtLine(4));
    await ask(QUESTIONS[1]);
    await status("Ready");
    expect(await said()).toEqual(expected);
    expect(await page.evaluate(() => main.numHosts)).toBe(2);
  });

  test("no host is said in the chat", async () => {
    await openChat("the process of the engines cannot be reached: crashed");
    await status(/cannot be reached: crashed/);
    expect(await chat().getByRole("button").isDisabled()).toBe(true);
  });
});
