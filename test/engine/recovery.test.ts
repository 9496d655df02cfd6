// What becomes of requests while an engine looks for another device, and when it finds none or a
// smaller one. The reference device stands for any: it is lost and refuses memory when told to.

import { describe, expect, test } from "vitest";
import { createEngineWith, type Platform } from "../../runtime/create-engine.ts";
import type { Device, DeviceBuffer } from "../../runtime/device.ts";
import type { Engine } from "../../runtime/engine.ts";
import { WeftError } from "../../runtime/errors.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import type { RemoteEngine } from "../../runtime/remote/remote-engine.ts";
import { ask, randomIds, refused } from "./ask.ts";
import { demoFolder } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { throughChannel } from "./through-channel.ts";

const folder = shallowFolder(demoFolder(), 1);
const request = { prompt: randomIds(20, 1), maxTokens: 40, ignoreEos: true };

class ScriptedDevice extends ReferenceDevice {
  /** Least size of a cache that does not fit. */
  readonly #roomBytes: number;

  constructor(roomBytes = Number.POSITIVE_INFINITY) {
    super();
    this.#roomBytes = roomBytes;
  }

  override createBuffer(label: string, sizeBytes: number): Promise<DeviceBuffer> {
    if (label !== "kv_pool" || sizeBytes < this.#roomBytes)
      return super.createBuffer(label, sizeBytes);
    throw new WeftError("out_of_memory", `no room for ${label} of ${sizeBytes} bytes`);
  }
}

/** @param devices Opened in this order, the last again and again. */
function scripted(...devices: (() => Device | Promise<Device>)[]) {
  const opened: Device[] = [];
  let numAsked = 0;
  const open = async () => {
    const device = await devices[Math.min(numAsked++, devices.length - 1)]();
    opened.push(device);
    return device;
  };
  const platform: Platform = { gpu: async () => undefined, runtime: "test", quantumMs: 50, open };
  const create = (options = {}): Promise<Engine> =>
    createEngineWith(platform, { model: folder, maxTokensPerPlan: 64, ...options });
  return { opened, create };
}

const plain = () => new ScriptedDevice();
const noAdapter = () => {
  throw new WeftError("no_adapter", "no adapter; try again");
};

test("requests that come while there is no device wait for the next", async () => {
  const held: ((device: Device) => void)[] = [];
  const { opened, create } = scripted(plain, () => new Promise((resolve) => held.push(resolve)));
  const engine = await create();
  const expected = (await ask(engine, request)).ids;
  opened[0].destroy();
  const answer = ask(engine, request);
  const gone = ask(engine, request, { signal: AbortSignal.timeout(10) });
  await refused(gone, "aborted");
  await expect.poll(() => held.length).toBe(1);
  held[0](plain());
  expect((await answer).ids).toEqual(expected);
  expect(engine.loop.usage).toMatchObject({ sequences: 0, slots: 0 });
  await engine.close();
});

test("a device that is lost while it is loaded is replaced as well", async () => {
  const dying = () => {
    const device = plain();
    setTimeout(() => device.destroy(), 1);
    return device;
  };
  const { opened, create } = scripted(plain, dying, noAdapter, plain);
  const engine = await create();
  const expected = (await ask(engine, request)).ids;
  const answer = ask(engine, request, {}, () => opened[0].destroy());
  expect((await answer).ids).toEqual(expected);
  expect(opened.length).toBe(3);
  expect((await engine.metrics()).total.deviceLosses).toBe(1);
  await engine.close();
});

test("without another device every request ends with the reason", { timeout: 15_000 }, async () => {
  const { opened, create } = scripted(plain, noAdapter);
  const engine = await create();
  const answers = [1, 2, 3].map(() => ask(engine, request));
  opened[0].destroy();
  const all = answers.map((answer) => refused(answer, "no_adapter", /lost .* create the engine/));
  await Promise.all(all);
  await refused(ask(engine, request), "no_adapter");
  await engine.close();
});

test("one that goes away each time before a token comes is given up", async () => {
  const dying = () => {
    const device = plain();
    const { prepare } = device;
    // It has been loaded by then.
    device.prepare = async (...args) => {
      await prepare.apply(device, args);
      device.readback = () => new Promise(() => setTimeout(() => device.destroy(), 0));
    };
    return device;
  };
  const { opened, create } = scripted(plain, dying);
  const engine = await create();
  const answer = ask(engine, request, {}, () => opened[0].destroy());
  await refused(answer, "device_lost", /6 times in a row/);
  expect(opened.length).toBe(6);
  await engine.close();
});

test("closing while there is no device ends requests, and the next device", async () => {
  const held: ((device: Device) => void)[] = [];
  const { opened, create } = scripted(plain, () => new Promise((resolve) => held.push(resolve)));
  const engine = await create();
  const answer = ask(engine, request);
  opened[0].destroy();
  await expect.poll(() => held.length).toBe(1);
  await engine.close();
  await refused(answer, "engine_closed");
  const late = plain();
  held[0](late);
  await late.lost;
});

describe("without memory for the cache", () => {
  const whole = async () => {
    const { create } = scripted(plain);
    const engine = await create();
    const { kv, maxContext } = engine.plan;
    const { ids } = await ask(engine, request);
    await engine.close();
    return { poolBytes: kv.totalBytes, maxContext, ids };
  };

  test("a smaller one is made", async () => {
    const { poolBytes, ids, maxContext } = await whole();
    const { opened, create } = scripted(() => new ScriptedDevice(poolBytes / 3));
    const engine = await create();
    expect(opened.length).toBe(3);
    expect(engine.info.kvCache.bytes).toBeLessThan(poolBytes / 3);
    expect(engine.info.maxContext).toBeLessThanOrEqual(maxContext);
    expect((await ask(engine, request)).ids).toEqual(ids);
    await engine.close();
  });

  test("of which not even a part fits, it is a typed error", async () => {
    const { create } = scripted(() => new ScriptedDevice(1));
    await refused(create(), "out_of_memory", /kv_pool/);
  });

  test("after a loss, who still fits goes on and others end with a reason", async () => {
    const { poolBytes, ids } = await whole();
    const { opened, create } = scripted(plain, () => new ScriptedDevice(poolBytes / 4));
    const engine = await create({ memoryBudgetBytes: undefined });
    const long = { ...request, maxTokens: engine.info.maxContext - 30 };
    const [short, tooLong] = [ask(engine, request), ask(engine, long)];
    opened[0].destroy();
    const failed = refused(tooLong, "request_too_long", /close other users/);
    expect((await short).ids).toEqual(ids);
    await failed;
    expect(engine.loop.usage).toMatchObject({ sequences: 0, slots: 0 });
    await engine.close();
  });

  test("users at the other end of a port learn of the device that the engine moved to", async () => {
    const { poolBytes } = await whole();
    const { opened, create } = scripted(plain, () => new ScriptedDevice(0.6 * poolBytes));
    const door = (await throughChannel(await create())) as RemoteEngine;
    expect(door.info.kvCache.bytes).toBe(poolBytes);
    opened[0].destroy();
    const bytes = () => door.info.kvCache.bytes;
    await expect.poll(bytes, { timeout: 10_000 }).toBeLessThan(0.6 * poolBytes);
    await door.close();
  });
});
