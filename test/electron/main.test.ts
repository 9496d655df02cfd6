// The example's main process, run once with a question, as the smoke script runs it in Electron: what it prints, to
// whom it gives ports, and that nothing is left when it quits.

import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { connectEngine } from "weft-llm/node";
import type { PortMain } from "../runtime/remote/electron-ports.ts";
import { app, children, ipcMain, protocol, windows } from "./fake-electron.ts";

vi.mock("electron", () => import("./fake-electron.ts"));

const DEMO = join(import.meta.dirname, "..", "..", "assets", "demo");
const ARGS = ["--utility", "--device", "reference", "--model", DEMO];

const { argv } = process;
const printed: string[] = [];

beforeAll(async () => {
  process.argv = [...argv.slice(0, 2), ...ARGS, "--prompt", "Sort these words: pear, wolf"];
  vi.spyOn(console, "log").mockImplementation((line) => void printed.push(line));
  await import("../../apps/electron/main.ts");
});
afterAll(() => {
  process.argv = argv;
  vi.restoreAllMocks();
});

/** A page's `invoke`. */
const invoke = (channel: string, origin: string, sender = {}) =>
  ipcMain.handlers.get(channel)!({ senderFrame: { origin }, sender });

test("its pages have an origin of their own, with storage and fetch", () => {
  const privileges = { standard: true, secure: true, supportFetchAPI: true };
  expect(protocol.schemes).toEqual([{ scheme: "app", privileges }]);
});

test("a page of the app gets a port and shares the engine, another page gets nothing", async () => {
  const ports: PortMain[] = [];
  const sender = {
    postMessage: (channel: string, _: unknown, sent: readonly PortMain[]) =>
      channel === "weft-port" && ports.push(...sent),
  };
  const foreign = invoke("weft-ask-for-port", "https://example.org", sender);
  await expect(foreign).rejects.toThrow(/not the app's own/);
  expect(ports).toEqual([]);
  await invoke("weft-ask-for-port", "app://weft", sender);
  const options = invoke("weft-engine-options", "app://weft") as { model: string };
  expect(options).toEqual({ model: DEMO, device: "reference" });
  const engine = await connectEngine({ ...options, connect: () => ports[0] });
  for await (const _ of engine.generate({ prompt: "Once", maxTokens: 2 }));
  expect(children).toHaveLength(1);
  await engine.close();
});

test("the answer comes piece by piece, then it quits and its process ends", async () => {
  await app.quitted;
  await expect.poll(() => children[0].exitCode).toBe(0);
  const deltas: { content?: string }[] = printed.map((line) => JSON.parse(line));
  expect(deltas.length).toBeGreaterThan(3);
  expect(deltas.map(({ content = "" }) => content).join("")).toContain("Sorted: pear, wolf");
  expect(windows).toEqual([]);
});
