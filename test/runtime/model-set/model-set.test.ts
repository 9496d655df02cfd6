// Several models under one budget: who is there, who waits, who has to go.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import type { ModelSet } from "../../../runtime/model-set/model-set.ts";
import { gate, openSet, ScriptedModel } from "./scripted-models.ts";

let a: ScriptedModel;
let b: ScriptedModel;
let c: ScriptedModel;

beforeEach(() => {
  a = new ScriptedModel("a", 40);
  b = new ScriptedModel("b", 40);
  c = new ScriptedModel("c", 40);
});

const messages = [{ role: "user", content: "Who?" }];
/** The name of the model that answers. */
async function ask(set: ModelSet, model?: string, signal?: AbortSignal): Promise<string | null> {
  const { choices } = await set.chat.completions.create({ messages, model }, { signal });
  return choices[0].message.content;
}
/** It has begun to answer, and goes on when its speech may end. */
async function begin(set: ModelSet, model: string) {
  const stream = await set.chat.completions.create({ messages, model, stream: true });
  const chunks = stream[Symbol.asyncIterator]();
  await chunks.next();
  return {
    leave: () => chunks.return?.(),
    async end() {
      while (!(await chunks.next()).done);
    },
  };
}
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const states = async (set: ModelSet) =>
  Object.fromEntries((await set.models.list()).data.map(({ id, state }) => [id, state]));

describe("a model", () => {
  test("is loaded when it is first asked for; the first of all at once", async () => {
    const set = await openSet([a, b, c], 1000);
    expect([a.numLoads, b.numLoads]).toEqual([1, 0]);
    expect([await ask(set), await ask(set, "b"), await ask(set, "b")]).toEqual(["a", "b", "b"]);
    expect([a.numLoads, b.numLoads, c.numLoads]).toEqual([1, 1, 0]);
    expect(await states(set)).toEqual({ a: "ready", b: "ready", c: "unloaded" });
    const { models } = await set.metrics();
    expect(models).toMatchObject({ b: { state: "ready", bytes: 40, loads: 1 }, c: { bytes: 0 } });
  });

  test("that is not there is refused by name", async () => {
    const set = await openSet([a, b], 100);
    await expect(ask(set, "d")).rejects.toMatchObject({
      code: "model_not_found",
      message: expect.stringContaining('"a", "b"'),
    });
    await expect(set.models.retrieve("d")).rejects.toMatchObject({ code: "model_not_found" });
    expect(await set.models.retrieve("b")).toMatchObject({ id: "b", object: "model" });
  });

  test("is loaded once for all who ask for it at once", async () => {
    const set = await openSet([a, b], 100);
    expect(await Promise.all([1, 2, 3].map(() => ask(set, "b")))).toEqual(["b", "b", "b"]);
    expect(b.numLoads).toBe(1);
  });

  test("that could not be loaded is tried anew by the next who asks", async () => {
    const set = await openSet([a, b], 100);
    b.failure = new WeftError("bad_safetensors", "broken");
    const asked = await Promise.allSettled([ask(set, "b"), ask(set, "b")]);
    expect(asked.map((one) => one.status)).toEqual(["rejected", "rejected"]);
    b.failure = undefined;
    expect(await ask(set, "b")).toBe("b");
  });

  test("whose engine has ended is loaded anew", async () => {
    const set = await openSet([a, b], 100);
    a.speechFailure = new WeftError("device_lost", "gone");
    await expect(ask(set, "a")).rejects.toMatchObject({ code: "device_lost" });
    a.speechFailure = undefined;
    expect(await ask(set, "a")).toBe("a");
    expect([a.numLoads, a.numCloses]).toEqual([2, 1]);
  });

  test("that nobody waits for any more is not loaded to the end", async () => {
    const set = await openSet([a, b], 100);
    const { promise, open } = gate();
    b.gate = promise;
    const controller = new AbortController();
    const asked = ask(set, "b", controller.signal);
    await settled();
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: "aborted" });
    // Who comes now waits for the one being given up, and loads it himself.
    const again = ask(set, "b");
    open();
    expect(await again).toBe("b");
    expect(b.numLoads).toBe(1);
  });
});

describe("where not all fit", () => {
  test("the least recently used makes place", async () => {
    const set = await openSet([a, b, c], 100);
    await ask(set, "b");
    await ask(set, "a");
    expect(await ask(set, "c")).toBe("c");
    expect(await states(set)).toEqual({ a: "ready", b: "unloaded", c: "ready" });
    expect([a.numCloses, b.numCloses]).toEqual([0, 1]);
    expect(await ask(set, "b")).toBe("b");
    expect(await states(set)).toEqual({ a: "unloaded", b: "ready", c: "ready" });
  });

  test("what a model has done is still known when it is gone, and goes on when it is back", async () => {
    const set = await openSet([a, b], 60);
    const requests = async () => {
      const { total, models } = await set.metrics();
      return [total.requests, models?.a.total?.requests, models?.b.total?.requests];
    };
    await ask(set, "a");
    await ask(set, "a");
    expect(await requests()).toEqual([2, 2, undefined]);
    await ask(set, "b");
    expect(await requests()).toEqual([2, 2, 1]);
    await ask(set, "a");
    expect(await requests()).toEqual([3, 3, 1]);
    // Nobody has read the figures of this one before it goes.
    await ask(set, "b");
    await ask(set, "a");
    expect(await requests()).toEqual([4, 4, 2]);
    expect((await set.metrics()).models?.b.engine).toBeUndefined();
  });

  test("one that answers stays, and the newcomer waits", async () => {
    const set = await openSet([a, b], 60);
    const { promise, open } = gate();
    a.speech = promise;
    const answer = await begin(set, "a");
    const asked = ask(set, "b");
    await settled();
    expect([a.numCloses, b.numLoads]).toEqual([0, 0]);
    expect(await states(set)).toEqual({ a: "leaving", b: "loading" });
    open();
    await answer.end();
    expect(await asked).toBe("b");
    expect(a.numCloses).toBe(1);
  });

  test("new requests do not keep one that has to go for ever", async () => {
    const set = await openSet([a, b], 60);
    const { promise, open } = gate();
    a.speech = promise;
    const answer = await begin(set, "a");
    const order: (string | null)[] = [];
    const asked: Promise<void>[] = [];
    for (const model of ["b", "a", "a"]) {
      asked.push(ask(set, model).then((said) => void order.push(said)));
      await settled();
    }
    open();
    await answer.end();
    await Promise.all(asked);
    expect(order).toEqual(["b", "a", "a"]);
    expect([a.numLoads, b.numLoads]).toEqual([2, 1]);
  });

  test("one that had to go may stay when the newcomer gives up", async () => {
    const set = await openSet([a, b], 60);
    const answer = await begin(set, "a");
    const controller = new AbortController();
    const asked = ask(set, "b", controller.signal);
    await settled();
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: "aborted" });
    const more = ask(set, "a");
    await answer.end();
    expect(await more).toBe("a");
  });

  test("a reader that leaves frees its model", async () => {
    const set = await openSet([a, b], 60);
    a.speech = gate().promise;
    const answer = await begin(set, "a");
    const asked = ask(set, "b");
    a.speech = Promise.resolve();
    await answer.leave();
    expect(await asked).toBe("b");
  });

  test("pinned ones stay", async () => {
    const set = await openSet([a, b, c], 100, ["a"]);
    await ask(set, "b");
    await ask(set, "c");
    expect(await states(set)).toEqual({ a: "ready", b: "unloaded", c: "ready" });
    const big = new ScriptedModel("big", 70);
    const other = await openSet([a, big], 100, ["a"]);
    await expect(ask(other, "big")).rejects.toMatchObject({
      code: "memory_budget_too_small",
      message: expect.stringMatching(/takes 70 bytes.*100.*the 40 of pinned/),
    });
  });

  test("one that never fits is refused at once", async () => {
    const big = new ScriptedModel("big", 101);
    const set = await openSet([a, big], 100);
    await expect(ask(set, "big")).rejects.toMatchObject({ code: "memory_budget_too_small" });
    expect(await ask(set, "a")).toBe("a");
  });
});

describe("closing", () => {
  test("ends all that are there, and what is loading", async () => {
    const set = await openSet([a, b, c], 100);
    await ask(set, "b");
    c.gate = gate().promise;
    const asked = ask(set, "c");
    await settled();
    await set.close();
    await expect(asked).rejects.toMatchObject({ code: "engine_closed" });
    await expect(ask(set, "a")).rejects.toMatchObject({ code: "engine_closed" });
    expect([a.isLoaded, b.isLoaded, c.isLoaded]).toEqual([false, false, false]);
  });

  test("follows where the first cannot be loaded", async () => {
    a.failure = new WeftError("no_adapter", "none");
    await expect(openSet([a, b], 100)).rejects.toBe(a.failure);
  });
});

test("whatever is asked in whatever order is answered, within the budget", async () => {
  const step = fc.record({
    model: fc.constantFrom("a", "b", "c", "d"),
    pause: fc.nat(3),
    gone: fc.boolean(),
  });
  const sizes = { a: 40, b: 30, c: 50, d: 60 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const models = Object.entries(sizes).map(([name, bytes]) => new ScriptedModel(name, bytes));
      const check = () => {
        const used = models.filter((model) => model.isLoaded);
        expect(used.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(100);
      };
      const set = await openSet(models, 100);
      const asked = steps.map(async ({ model, pause, gone }) => {
        for (let i = 0; i < pause; i++) await new Promise(setImmediate);
        const controller = new AbortController();
        const answer = ask(set, model, controller.signal);
        if (gone) queueMicrotask(() => controller.abort());
        return answer.then(
          (said) => expect(said).toBe(model),
          (error) => expect([gone, error.code]).toEqual([true, "aborted"]),
        );
      });
      for (const answer of asked) {
        await answer;
        check();
      }
      await set.close();
      expect(models.filter((model) => model.isLoaded)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
