// The same engine over every transport: a MessageChannel, `worker_threads`, Electron's ports. What a user
// at the far end may rely on when all goes well, and when the other end is slow, foreign or gone.

import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  connectEngine,
  type Endpoint,
  type EngineApi,
  hostEngines,
  WeftError,
} from "../../../node.ts";
import { PROTOCOL_VERSION, WINDOW_CHUNKS } from "../../../runtime/remote/messages.ts";
import { buildIfStale } from "../../../scripts/build.mjs";
import { refused } from "../../engine/ask.ts";
import { electronChannel } from "./electron-ports.ts";

const OPTIONS = { model: "demo", device: "reference", maxRows: 4, maxTokensPerPlan: 64 } as const;
const request = { prompt: "Once upon a time", temperature: 1, seed: 5, ignoreEos: true };
const thread = new URL("../../harness/engine-thread.mjs", import.meta.url);

/** By name: a channel to a new host. `vanish` ends the latest host without a word. */
const transports = {
  "a MessageChannel": () => {
    const ends: MessagePort[] = [];
    return {
      connect: () => {
        const { port1, port2 } = new MessageChannel();
        ends.push(port2);
        hostEngines(port2);
        return port1;
      },
      vanish: () => ends.at(-1)!.close(),
    };
  },
  worker_threads: () => {
    const workers: Worker[] = [];
    return {
      connect: (): Endpoint => {
        workers.push(new Worker(thread));
        return workers.at(-1)!;
      },
      vanish: () => void workers.at(-1)!.terminate(),
    };
  },
  "Electron's ports": () => {
    const ends: { close(): void }[] = [];
    return {
      connect: () => {
        const { port1, port2 } = electronChannel();
        ends.push(port2);
        hostEngines(port2);
        return port1;
      },
      vanish: () => ends.at(-1)!.close(),
    };
  },
};

const open: EngineApi[] = [];
const opened = async (promise: Promise<EngineApi>) => {
  open.push(await promise);
  return open.at(-1)!;
};
afterEach(async () => {
  for (const engine of open.splice(0)) await engine.close();
});

async function idsOf(engine: EngineApi, more: object, onChunk?: (count: number) => void) {
  const ids: number[] = [];
  for await (const { tokenIds } of engine.generate({ ...request, ...more })) {
    ids.push(...tokenIds);
    onChunk?.(ids.length);
  }
  return ids;
}

beforeAll(() => buildIfStale(), 60_000);

describe.each(Object.entries(transports))("%s", (_, transport) => {
  test("carries streams, answers, questions and errors", async () => {
    const engine = await opened(connectEngine({ ...OPTIONS, connect: transport().connect }));
    const ids = await idsOf(engine, { maxTokens: 12 });
    expect(ids).toHaveLength(12);
    const messages = [{ role: "user", content: "Hello" }];
    const asked = { messages, max_tokens: 5, temperature: 0 };
    const answer = await engine.chat.completions.create(asked);
    let text = "";
    const heads = new Set<string>();
    for await (const chunk of await engine.chat.completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
      heads.add(chunk.id);
    }
    expect([text, heads.size]).toEqual([answer.choices[0].message.content, 1]);
    expect((await engine.metrics()).total).toMatchObject({ finished: 3, aborted: 0 });
    expect((await engine.trace()).traceEvents.length).toBeGreaterThan(3);
    // Nothing ended after now but the names of process and GPU.
    expect((await engine.trace({ sinceMs: 1e9 })).traceEvents.map(({ tid }) => tid)).toEqual([
      ...[0, 0, 0],
    ]);
    const { groups } = await engine.kvMap();
    expect(groups.map(({ kind }) => kind)).toEqual(["full"]);
    expect(new Set(groups[0].holders)).toEqual(new Set([0]));
    expect(engine.info).toMatchObject({ model: { type: "qwen3" }, device: { kind: "reference" } });
    await refused(idsOf(engine, { maxTokens: -1 }), "bad_request", /maxTokens/);
    await refused(engine.session().hold(-1), "bad_request", /above 0/);
    const create = engine.chat.completions.create({ messages: [], stream: true });
    await refused(create, "bad_request", /messages/);
  });

  test("aborts, and frees what a reader leaves behind", async () => {
    const engine = await opened(connectEngine({ ...OPTIONS, connect: transport().connect }));
    const controller = new AbortController();
    const aborted = (async () => {
      for await (const _ of engine.generate(request, { signal: controller.signal }))
        controller.abort("enough");
    })();
    await refused(aborted, "aborted", /enough/);
    for await (const _ of engine.generate(request)) break;
    await expect
      .poll(async () => (await engine.metrics()).now)
      .toMatchObject({ running: 0, waiting: 0, kv: [0] });
    expect((await engine.metrics()).total.aborted).toBe(2);
  });

  test("a host that vanishes is replaced, and streams go on where they were", async () => {
    const { connect, vanish } = transport();
    const engine = await opened(connectEngine({ ...OPTIONS, connect }));
    const expected = await Promise.all(
      [0, 1, 2].map((seed) => idsOf(engine, { seed, maxTokens: 15 })),
    );
    let count = 0;
    const lose = () => void (++count === 20 && vanish());
    const asked = [0, 1, 2].map((seed) => idsOf(engine, { seed, maxTokens: 15 }, lose));
    expect(await Promise.all(asked)).toEqual(expected);
    // A request that names no seed goes on as it began, too.
    const texts: string[] = [];
    const messages = [{ role: "user", content: "Hello" }];
    // At such a heat it may end at once, unless it may not end.
    const bans = { logit_bias: { 0: -100, 2: -100 } };
    const chat = { messages, stream: true, max_tokens: 20, temperature: 2, ...bans } as const;
    for await (const chunk of await engine.chat.completions.create(chat)) {
      texts.push(chunk.id);
      if (texts.length === 5) vanish();
    }
    expect(new Set(texts).size).toBe(1);
    expect(texts.length).toBeGreaterThan(5);
  });

  test("closing ends what runs, and later requests are refused", async () => {
    const engine = await connectEngine({ ...OPTIONS, connect: transport().connect });
    const ended = refused(idsOf(engine, { maxTokens: 500 }), "engine_closed");
    await engine.close();
    await ended;
    await refused(idsOf(engine, {}), "engine_closed", /create another/);
    await engine.close();
  });
});

describe("a host and its users", () => {
  test("those that ask for the same share one engine until the last has left", async () => {
    const { port1, port2 } = new MessageChannel();
    const other = new MessageChannel();
    hostEngines(port2);
    hostEngines(other.port2);
    const first = await opened(connectEngine({ ...OPTIONS, connect: () => port1 }));
    const second = await opened(connectEngine({ ...OPTIONS, connect: () => other.port1 }));
    const ids = await idsOf(first, { maxTokens: 5 });
    expect(await idsOf(second, { maxTokens: 5 })).toEqual(ids);
    expect((await first.metrics()).total.finished).toBe(2);
    await first.close();
    expect(await idsOf(second, { maxTokens: 5 })).toEqual(ids);
  });

  test("progress comes before the engine, and loading can be aborted", async () => {
    const { connect } = transports["a MessageChannel"]();
    const loaded: number[] = [];
    const onProgress = ({ loadedBytes }: { loadedBytes: number }) => void loaded.push(loadedBytes);
    await opened(connectEngine({ ...OPTIONS, connect, onProgress }));
    expect(loaded.length).toBeGreaterThan(1);
    const signal = AbortSignal.timeout(1);
    // Others, so that it is none of those that are there.
    await refused(connectEngine({ ...OPTIONS, maxRows: 3, connect, signal }), "aborted");
    await refused(connectEngine({ ...OPTIONS, connect, model: "/no/such" }), "file_not_found");
  });

  test("a reader that takes its time is sent no more than a window ahead", async () => {
    const { port1, port2 } = new MessageChannel();
    let sent = 0;
    const { postMessage } = port2;
    port2.postMessage = (message: { type: string; chunks: unknown[] }) => {
      if (message.type === "chunks") sent += message.chunks.length;
      postMessage.call(port2, message);
    };
    hostEngines(port2);
    const engine = await opened(connectEngine({ ...OPTIONS, connect: () => port1 }));
    const stream = engine.generate({ ...request, maxTokens: 100 });
    await stream.next();
    await expect
      .poll(async () => (await engine.metrics()).total.finished, { timeout: 60_000 })
      .toBe(1);
    expect(sent).toBe(WINDOW_CHUNKS);
    let rest = 0;
    for await (const { tokenIds } of stream) rest += tokenIds.length;
    expect(rest).toBe(99);
  });

  test("a host of another release, or none at all, is a typed error", async () => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = () => port2.postMessage({ type: "hello", version: PROTOCOL_VERSION + 1 });
    const newer = connectEngine({ ...OPTIONS, connect: () => port1 });
    await refused(newer, "protocol_mismatch", /close the site's other tabs/);
    const gone = new MessageChannel();
    gone.port2.close();
    await refused(connectEngine({ ...OPTIONS, connect: () => gone.port1 }), "worker_failed");
    const nothing = { ...OPTIONS, connect: () => ({}) as MessagePort };
    await refused(connectEngine(nothing), "bad_request", /MessagePort/);
  });

  test("one that vanishes again and again is given up", async () => {
    const hosts: MessagePort[] = [];
    const connect = () => {
      const { port1, port2 } = new MessageChannel();
      hostEngines(port2);
      if (hosts.push(port2) > 1) setTimeout(() => port2.close(), 1);
      return port1;
    };
    const engine = await opened(connectEngine({ ...OPTIONS, connect }));
    const answer = idsOf(engine, { maxTokens: 1000 });
    hosts[0].close();
    await refused(answer, "worker_failed", /again|times/);
    expect(hosts).toHaveLength(4);
  });

  test("one that has no page is answered while the pages of all others are frozen", async () => {
    const { port1, port2 } = new MessageChannel();
    hostEngines(port2);
    const isOpen = new Promise<void>((resolve) => {
      port1.onmessage = ({ data: { type } }) => {
        if (type === "hello") port1.postMessage({ type: "open", call: 0, options: OPTIONS });
        if (type === "opened") resolve();
      };
    });
    port1.postMessage({ type: "hello", version: PROTOCOL_VERSION });
    await isOpen;
    port1.postMessage({ type: "page", state: { visibility: "frozen" } });
    const other = transports["a MessageChannel"]();
    const engine = await opened(connectEngine({ ...OPTIONS, connect: other.connect }));
    expect(await idsOf(engine, { maxTokens: 3 })).toHaveLength(3);
    port1.close();
  });

  test("Node's own locks are not asked about somebody of another process", async () => {
    // As of Node 24. In a process of its own, each side would find the other's lock free.
    const request = async (_: string, granted: () => unknown) => granted();
    for (const navigator of [{ locks: { request } }, {}]) {
      vi.stubGlobal("navigator", navigator);
      const { port1, port2 } = new MessageChannel();
      const { postMessage } = port2;
      port2.postMessage = (message: { type: string }) =>
        postMessage.call(port2, message.type === "hello" ? { ...message, lock: "its" } : message);
      hostEngines(port2);
      const engine = await opened(connectEngine({ ...OPTIONS, connect: () => port1 }));
      expect(await idsOf(engine, { maxTokens: 3 })).toHaveLength(3);
      vi.unstubAllGlobals();
    }
  });

  test("what is no message of ours disturbs nobody", async () => {
    const { port1, port2 } = new MessageChannel();
    hostEngines(port2);
    for (const odd of [null, 1, "hello", {}, { type: "start", call: 1 }, { type: "ask" }])
      port1.postMessage(odd);
    const engine = await opened(connectEngine({ ...OPTIONS, connect: () => port1 }));
    for (const odd of [null, [], { type: "odd" }, { type: "start", call: 99 }, { type: "credit" }])
      port1.postMessage(odd);
    expect(await idsOf(engine, { maxTokens: 3 })).toHaveLength(3);
  });

  test("what cannot be cloned is named before anything is sent", async () => {
    const { connect } = transports["a MessageChannel"]();
    const options = { ...OPTIONS, connect, experts: { memoryBytes: () => 1 } } as never;
    await refused(connectEngine(options), "bad_request", /experts\.memoryBytes cannot be sent/);
    const engine = await opened(connectEngine({ ...OPTIONS, connect }));
    const odd = idsOf(engine, { logitBias: { 1: () => 1 } });
    await refused(odd, "bad_request", /plain data/);
    const error = await idsOf(engine, { adapter: "law" }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(WeftError);
    expect(error.code).toBe("bad_request");
  });
});
