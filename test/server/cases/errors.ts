// What callers are told when something fails, before an answer and in mid-stream, as OpenAI's client reads it;
// what is the server's own fault is told to whoever runs it.

import OpenAI from "openai";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WeftError, type WeftErrorCode } from "../../../index.ts";
import { createHandler, type HandlerOptions, type ServerFault } from "../../../server.ts";
import { ScriptedEngine } from "../scripted-engine.ts";
import { MESSAGES } from "../served.ts";

describe("what callers are told", () => {
  afterEach(() => vi.useRealTimers());

  function api(options: HandlerOptions = {}, maxRetries = 0) {
    const engine = new ScriptedEngine();
    const faults: ServerFault[] = [];
    const handle = createHandler(engine.door, {
      onFault: (fault) => faults.push(fault),
      ...options,
    });
    const client = new OpenAI({
      ...{ baseURL: "http://localhost:8000/v1", apiKey: "a-secret-key", maxRetries },
      fetch: (url, init) => handle(new Request(url as string, init as RequestInit)),
    });
    const ask = async () => {
      const body = { model: "x", messages: MESSAGES, stream: true } as const;
      let text = "";
      const stream = await client.chat.completions.create(body);
      for await (const { choices } of stream) text += choices[0].delta.content;
      return text;
    };
    return { engine, faults, ask, handle };
  }

  describe("before the answer", () => {
    test.each<[WeftErrorCode, new (...args: never[]) => Error, string]>([
      ["bad_request", OpenAI.BadRequestError, "bad_request"],
      ["request_too_long", OpenAI.BadRequestError, "context_length_exceeded"],
      ["chat_template_failed", OpenAI.BadRequestError, "chat_template_failed"],
      ["model_not_found", OpenAI.NotFoundError, "model_not_found"],
      ["superseded", OpenAI.ConflictError, "superseded"],
      ["engine_closed", OpenAI.InternalServerError, "engine_closed"],
    ])("%s, with its message", async (code, type, told) => {
      const { engine, ask } = api();
      engine.fault = new WeftError(code, "what is wrong; the cure");
      const error = await ask().catch((thrown) => thrown);
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({ code: told, message: expect.stringContaining("the cure") });
    });

    test.each<[WeftErrorCode, number]>([
      ["device_lost", 503],
      ["out_of_memory", 503],
      ["read_failed", 503],
      ["internal", 500],
      ["bad_gguf", 500],
    ])("%s: %i, and its message in the log alone", async (code, status) => {
      const { engine, ask, faults } = api();
      engine.fault = new WeftError(code, "/home/ann/model: broken");
      const error = await ask().catch((thrown) => thrown);
      expect(error).toBeInstanceOf(OpenAI.InternalServerError);
      expect(error).toMatchObject({ status, code });
      expect(error.message).not.toContain("ann");
      expect(error.message).toContain(error.requestID);
      expect(faults).toEqual([
        { requestId: error.requestID, route: "POST /v1/chat/completions", error: engine.fault },
      ]);
    });

    test("what is thrown that is no error of Weft's", async () => {
      const { engine, ask, faults } = api();
      engine.fault = new TypeError("x is not a function");
      await expect(ask()).rejects.toMatchObject({ status: 500, code: "internal" });
      expect(faults[0].error).toMatchObject({ code: "internal", cause: engine.fault });
      expect(JSON.stringify(faults)).not.toMatch(/a-secret-key|user/);
    });

    test("is asked again where that helps, and not where it does not", async () => {
      const { engine, ask } = api({}, 2);
      const attempts = async (code: WeftErrorCode) => {
        engine.requests.length = 0;
        engine.fault = new WeftError(code, "x");
        vi.useFakeTimers({ toFake: ["setTimeout"] });
        const asked = ask().catch(() => {});
        for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(1000);
        await asked;
        vi.useRealTimers();
        return engine.requests.length;
      };
      expect(await attempts("device_lost")).toBe(3);
      expect(await attempts("internal")).toBe(1);
      expect(await attempts("superseded")).toBe(1);
      expect(await attempts("bad_request")).toBe(1);
    });

    test("429 is asked again when the server said", async () => {
      const { engine, ask, handle } = api({ maxConcurrent: 1 }, 1);
      engine.says(["Hi"]);
      const body = JSON.stringify({ messages: [], stream: true });
      const headers = { "content-type": "application/json" };
      const url = "http://localhost/v1/chat/completions";
      const held = await handle(new Request(url, { method: "POST", headers, body }));
      const startMs = performance.now();
      setTimeout(() => held.text(), 200);
      expect(await ask()).toBe("Hi");
      expect(performance.now() - startMs).toBeGreaterThan(990);
    });
  });

  describe("in mid-stream", () => {
    test("an error comes as the last event", async () => {
      const { engine, ask, handle } = api();
      engine.says(["one", "two"]);
      engine.breaks = new WeftError("device_lost", "gone");
      await expect(ask()).rejects.toThrow(OpenAI.APIError);
      await expect(ask()).rejects.toMatchObject({ code: "device_lost", type: "server_error" });
      const request = new Request("http://localhost/v1/chat/completions", {
        ...{ method: "POST", headers: { "content-type": "application/json" } },
        body: JSON.stringify({ messages: [], stream: true }),
      });
      const events = (await (await handle(request)).text()).split("\n\n");
      expect(events).toHaveLength(4);
      expect(events[1]).toMatch(/^data: \{"id":.*"two"/);
      expect(events[2]).toMatch(/^data: \{"error":\{"message":.*"code":"device_lost"\}\}$/);
      expect(events[3]).toBe("");
    });

    test("a time limit ends an answer", async () => {
      const { engine, ask } = api({ requestTimeoutMs: 30 });
      const endless = engine.says(Array.from({ length: 1e6 }, () => "x"));
      await expect(ask()).rejects.toMatchObject({ code: "timeout" });
      expect(endless.isAborted).toBe(true);
      await vi.waitFor(() => expect(endless.isLeft).toBe(true));
    });
  });

  test.each<[HandlerOptions, RegExp]>([
    [{ maxConcurrent: 0 }, /maxConcurrent is 0, it must be an integer of 1 or more/],
    [{ maxBodyBytes: 1.5 }, /maxBodyBytes is 1.5/],
    [{ maxCompletionTokens: -1 }, /maxCompletionTokens is -1/],
    [{ requestTimeoutMs: 1e12 }, /requestTimeoutMs is 1000000000000, .* at most 2147483647/],
    [{ origins: ["example.org"] }, /origins is example.org, it must be origins such as https/],
    [{ hosts: ["http://example.org"] }, /hosts is http:\/\/example.org, .* without a scheme/],
  ])("option refused: %j", (options, message) => {
    expect(() => createHandler(new ScriptedEngine().door, options)).toThrow(message);
  });
});
