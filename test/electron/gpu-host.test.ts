// The process of an Electron app that has its engines: one for all who connect, another when it is gone, none
// when the app quits. Electron is a fake here; ports and engines are real.

import { afterEach, describe, expect, test, vi } from "vitest";
import { connectEngine, type EngineApi } from "weft-llm/node";
import { GpuHost, hiddenWindow } from "../../apps/electron/gpu-host.ts";
import { utilityHost } from "../../apps/electron/utility-host.ts";
import { refused } from "../engine/ask.ts";
import { children, nextLoad, windows } from "./fake-electron.ts";

vi.mock("electron", () => import("./fake-electron.ts"));

const OPTIONS = { model: "demo", device: "reference", maxRows: 4, maxTokensPerPlan: 64 } as const;
const PAGE = { url: "app://weft/host.html", preload: "/preload.cjs" };

const ways = {
  "a hidden window": {
    start: () => hiddenWindow(PAGE),
    crash: () => windows.at(-1)!.webContents.forcefullyCrashRenderer("crashed"),
    started: windows,
  },
  "a utility process": {
    start: () => utilityHost("/utility.js"),
    crash: () => children.at(-1)!.end(139),
    started: children,
  },
} as const;

const hosts: GpuHost[] = [];
const open: EngineApi[] = [];

afterEach(async () => {
  for (const engine of open.splice(0)) await engine.close();
  for (const host of hosts.splice(0)) host.close();
  windows.length = 0;
  children.length = 0;
});

function hostOf(start: ConstructorParameters<typeof GpuHost>[0]): GpuHost {
  hosts.push(new GpuHost(start));
  return hosts.at(-1)!;
}

async function engineAt(host: GpuHost): Promise<EngineApi> {
  open.push(await connectEngine({ ...OPTIONS, connect: () => host.connect() }));
  return open.at(-1)!;
}

async function idsOf(engine: EngineApi, more: object, onIds?: (ids: readonly number[]) => void) {
  const ids: number[] = [];
  const request = { prompt: "Once upon a time", temperature: 1, seed: 5, ignoreEos: true };
  for await (const { tokenIds } of engine.generate({ ...request, maxTokens: 12, ...more })) {
    ids.push(...tokenIds);
    onIds?.(ids);
  }
  return ids;
}

describe.each(Object.entries(ways))("%s", (_, { start, crash, started }) => {
  test("is one for all who connect, and they share an engine", async () => {
    const host = hostOf(start);
    const [main, window] = await Promise.all([engineAt(host), engineAt(host)]);
    const ids = await idsOf(main, {});
    expect(ids).toHaveLength(12);
    expect(await idsOf(window, {})).toEqual(ids);
    expect((await main.metrics()).total.finished).toBe(2);
    expect(started).toHaveLength(1);
  });

  test("that crashes is replaced, and the streams of all go on with the same ids", async () => {
    const host = hostOf(start);
    const engines = await Promise.all([engineAt(host), engineAt(host)]);
    const expected = await Promise.all(engines.map((engine, seed) => idsOf(engine, { seed })));
    let hasCrashed = false;
    const crashOnce = (ids: readonly number[]) => {
      if (ids.length < 5 || hasCrashed) return;
      hasCrashed = true;
      crash();
    };
    const streams = engines.map((engine, seed) => idsOf(engine, { seed }, crashOnce));
    expect(await Promise.all(streams)).toEqual(expected);
    expect(started).toHaveLength(2);
  });

  test("ends when the app quits: what still runs is told, and nothing is started again", async () => {
    const host = hostOf(start);
    const engine = await engineAt(host);
    const told = refused(
      idsOf(engine, { maxTokens: 500 }, () => host.close()),
      "engine_closed",
    );
    await told;
    await refused(host.connect(), "engine_closed");
    expect(started).toHaveLength(1);
  });
});

describe("a hidden window", () => {
  test("is not seen, not slowed down, and has no right that its page does not need", async () => {
    await hostOf(ways["a hidden window"].start).connect();
    expect(windows[0].options).toEqual({
      show: false,
      webPreferences: {
        preload: PAGE.preload,
        contextIsolation: true,
        sandbox: true,
        nodeIntegration: false,
        backgroundThrottling: false,
      },
    });
  });

  test("that does not respond is ended, and replaced", async () => {
    const host = hostOf(ways["a hidden window"].start);
    const engine = await engineAt(host);
    const expected = await idsOf(engine, {});
    let count = 0;
    const hang = () => void (++count === 3 && windows[0].webContents.emit("unresponsive"));
    expect(await idsOf(engine, {}, hang)).toEqual(expected);
    expect(windows.map((window) => window.isDestroyed())).toEqual([true, false]);
  });

  test("that cannot be loaded is a typed error, and the next attempt opens another", async () => {
    const host = hostOf(ways["a hidden window"].start);
    nextLoad.fail = () => Promise.reject(new Error("ERR_FILE_NOT_FOUND (-6)"));
    await refused(host.connect(), "worker_failed", /cannot be reached: ERR_FILE_NOT_FOUND/);
    nextLoad.fail = (window) => {
      window.webContents.forcefullyCrashRenderer("oom");
      return new Promise(() => {});
    };
    await refused(host.connect(), "worker_failed", /its process has ended: oom/);
    expect(windows.map((window) => window.isDestroyed())).toEqual([true, true]);
    await host.connect();
    expect(windows).toHaveLength(3);
  });

  test("that has crashed before anybody was told of it is not used again", async () => {
    const host = hostOf(ways["a hidden window"].start);
    await host.connect();
    windows[0].webContents.postMessage = () => {
      throw new Error("Render frame was disposed");
    };
    await refused(host.connect(), "worker_failed", /frame was disposed/);
    expect(await idsOf(await engineAt(host), {})).toHaveLength(12);
    expect(windows.map((window) => window.isDestroyed())).toEqual([true, false]);
  });

  test("that is still loading when the app quits is closed", async () => {
    const host = hostOf(ways["a hidden window"].start);
    const connecting = host.connect().catch((error) => error);
    host.close();
    await connecting;
    await expect.poll(() => windows[0].isDestroyed()).toBe(true);
  });
});
