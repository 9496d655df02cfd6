// A server among those that wish it ill: slow, huge, broken, silent or gone in mid-answer. It stays up, gives
// everything back, and who asks properly gets the same tokens as on a quiet day.

import { beforeAll, describe, expect, test } from "vitest";
import { heapAfterCollection } from "../../harness/heap.ts";
import { report } from "../../harness/soak.ts";
import { answerTo, dial, parsed, rawRequest, refusal, spoken } from "../raw-http.ts";
import { ScriptedEngine } from "../scripted-engine.ts";
import { atRest, client, MESSAGES, type Served, served } from "../served.ts";

const LIMITS = { headersTimeoutMs: 300, bodyTimeoutMs: 300, maxBodyBytes: 100_000 };

/** How many of each kind come at once. */
export interface Numbers {
  readonly numIdle: number;
  readonly numLeaving: number;
  readonly numSlow: number;
  readonly numHuge: number;
  /** Seconds of collecting, and a heap that is small enough to see it grow. */
  readonly measuresHeap: boolean;
}

export function hostile({ numIdle, numLeaving, numSlow, numHuge, measuresHeap }: Numbers): void {
  let main: Served;
  let quiet: string;
  beforeAll(async () => {
    main = await served(LIMITS);
    quiet = await asked();
  });

  /** A good caller's answer, token by token. */
  async function asked(): Promise<string> {
    const { server, engine } = main;
    const stream = await client(server).chat.completions.create({
      ...{ model: engine.info.model.id, messages: MESSAGES, stream: true },
      ...{ max_completion_tokens: 60, temperature: 1, seed: 7 },
    });
    let text = "";
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    return text;
  }

  /** Good callers ask again and again until the others are done. */
  async function besides<T>(attack: Promise<T>): Promise<T> {
    let isOver = false;
    const watched = attack.finally(() => {
      isOver = true;
    });
    let answers = 0;
    do {
      expect(await asked()).toBe(quiet);
      answers += 1;
    } while (!isOver);
    expect(answers).toBeGreaterThan(0);
    return watched;
  }

  const many = <T>(count: number, one: (i: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => one(i)));

  const body = JSON.stringify({ messages: MESSAGES, max_tokens: 1 });

  describe("slow", () => {
    test("headers", async () => {
      const { server } = main;
      const answers = await besides(
        many(numSlow, async (i) => {
          const socket = await dial(server);
          const all = spoken(socket);
          const bytes = rawRequest(server, { body });
          let at = 0;
          const drip = setInterval(() => socket.write(bytes[at++]), 40 + (i % 10));
          socket.on("close", () => clearInterval(drip));
          return all;
        }),
      );
      for (const answer of answers) {
        expect(refusal(answer)).toEqual({ status: 408, code: "request_timeout" });
      }
    });

    test("nothing at all", async () => {
      const answer = await spoken(await dial(main.server));
      expect(answer === "" || parsed(answer).status === 408).toBe(true);
    });

    test("bodies", async () => {
      const { server } = main;
      const answers = await besides(
        many(numSlow, async () => {
          const socket = await dial(server);
          const all = spoken(socket);
          const bytes = rawRequest(server, { body });
          socket.write(bytes.slice(0, -body.length + 2));
          return all;
        }),
      );
      for (const answer of answers) {
        expect(refusal(answer)).toEqual({ status: 408, code: "body_timeout" });
      }
    });
  });

  describe("huge", () => {
    test("bodies that are announced", async () => {
      const { server } = main;
      const headers = { "content-length": `${1e15}` };
      const answers = await besides(
        many(numHuge, () => answerTo(server, rawRequest(server, { headers }))),
      );
      for (const answer of answers) {
        expect(refusal(answer)).toEqual({ status: 413, code: "body_too_large" });
      }
    });

    test("bodies that never end", async () => {
      const { server } = main;
      const answers = await besides(
        many(numHuge, async () => {
          const socket = await dial(server);
          const all = spoken(socket);
          const head = rawRequest(server, { headers: { "transfer-encoding": "chunked" } });
          socket.write(head.replace(/content-length: 0\r\n/, ""));
          const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
          const flow = () => {
            while (!socket.destroyed && socket.write(chunk));
          };
          socket.on("drain", flow);
          flow();
          return all;
        }),
      );
      for (const answer of answers) {
        // Who only writes may lose the answer when the connection is ended, or be too slow a writer.
        expect(answer).toMatch(/^(HTTP\/1.1 (413|408) |$)/);
        expect(answer).not.toContain("still open");
      }
      expect(answers.filter((answer) => answer !== "").length).toBeGreaterThan(0);
    });

    test("headers", async () => {
      const { server } = main;
      const long = rawRequest(server, { body, headers: { "x-long": "x".repeat(20_000) } });
      expect(refusal(await answerTo(server, long))).toMatchObject({ status: 431 });
      const names = Array.from({ length: 500 }, (_, i) => [`x-${i}`, "1"]);
      const flood = rawRequest(server, { body, headers: Object.fromEntries(names) });
      const answer = parsed(await answerTo(server, flood));
      expect(answer.status).toBe(431);
      expect(answer.body).toContain("too_many_headers");
    });
  });

  test(`${numIdle} idle connections harm nobody`, async () => {
    const { server } = main;
    const sockets = await many(numIdle, async () => {
      const socket = await dial(server);
      const request = rawRequest(server, { method: "GET", path: "/health", keepAlive: true });
      const answered = new Promise((resolve) => socket.once("data", resolve));
      socket.write(request);
      await answered;
      return socket;
    });
    const startMs = performance.now();
    expect(await asked()).toBe(quiet);
    report("server-hostile", { idle: numIdle, answerMs: performance.now() - startMs });
    for (const socket of sockets) socket.destroy();
  });

  test(`${numLeaving} readers that leave in mid-stream leave nothing behind`, async () => {
    const { server, engine } = main;
    const { aborted } = (await engine.metrics()).total;
    const request = JSON.stringify({ messages: MESSAGES, max_tokens: 450, stream: true });
    const answers = await besides(
      many(numLeaving, async (i) => {
        const socket = await dial(server);
        const all = spoken(socket);
        socket.write(rawRequest(server, { body: request }));
        let events = 0;
        socket.on("data", () => {
          events += 1;
          if (events > i % 7) socket.destroy();
        });
        return all;
      }),
    );
    expect(answers.every((answer) => answer.startsWith("HTTP/1.1 200 "))).toBe(true);
    await atRest(engine);
    expect((await engine.metrics()).total.aborted - aborted).toBe(numLeaving);
  });

  test("a reader that takes nothing is left, and its connection ended", async () => {
    const engine = new ScriptedEngine();
    const { server } = await served({ stallTimeoutMs: 150 }, engine.door);
    // Far more than what sockets hold on the way.
    const made = engine.says(Array.from({ length: 4000 }, () => "x".repeat(2 ** 16)));
    const socket = await dial(server);
    socket.pause();
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.write(
      rawRequest(server, { body: JSON.stringify({ messages: MESSAGES, stream: true }) }),
    );
    await expect.poll(() => made.isLeft).toBe(true);
    expect(made.taken).toBeGreaterThan(1);
    // What was taken of 256 MB is what sockets hold.
    expect(made.taken).toBeLessThan(400);
    expect(made.isAborted).toBe(true);
    socket.resume();
    await closed;
  });

  test("after all of it nothing is held", async () => {
    const { engine, server } = main;
    await atRest(engine);
    const metrics = await (await fetch(`${server.url.slice(0, -3)}/metrics`)).text();
    expect(metrics).toMatch(/^weft_http_answers 0$/m);
    if (!measuresHeap) return;
    // What attacks leave behind the first time is code that was compiled for them.
    await storm();
    const heap = await heapAfterCollection();
    for (let i = 0; i < 5; i++) await storm();
    await atRest(engine);
    const heapAfter = await heapAfterCollection();
    report("server-hostile", { heap, heapAfter });
    expect(heapAfter - heap).toBeLessThan(0.02 * heap);
  });

  /** Some of everything. */
  async function storm(): Promise<void> {
    const { server } = main;
    const stream = JSON.stringify({ messages: MESSAGES, max_tokens: 200, stream: true });
    await besides(
      many(numLeaving, async (i) => {
        const socket = await dial(server);
        const all = spoken(socket);
        const bytes = rawRequest(server, { body: i % 3 === 0 ? "{" : stream });
        socket.write(i % 3 === 1 ? bytes.slice(0, -10) : bytes);
        if (i % 2 === 0) socket.once("data", () => socket.destroy());
        else setTimeout(() => socket.destroy(), i % 50);
        return all;
      }),
    );
  }
}
