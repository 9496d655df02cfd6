// How much callers may ask, for whom it counts, and when nobody is answered.

import { describe, expect, test } from "vitest";
import { WeftError } from "../../../index.ts";
import { createHandler, type HandlerOptions, type ServerFault } from "../../../server.ts";
import { ScriptedEngine } from "../scripted-engine.ts";
import { CHAT, handler } from "../scripted-handler.ts";
import { MESSAGES } from "../served.ts";

describe("what is let in", () => {
  describe("limits", () => {
    const body = (more: object) => JSON.stringify({ messages: MESSAGES, stream: true, ...more });

    test("on what one request may ask", async () => {
      const { ask, engine } = handler({ maxCompletionTokens: 50, maxPromptTokens: 9 });
      expect(await ask({}, body({ max_tokens: 51 }))).toMatchObject({ status: 400 });
      await ask({}, body({ max_completion_tokens: 50 }));
      await ask({}, body({}));
      await ask({}, body({ max_prompt_tokens: 5 }));
      await ask({}, body({ max_prompt_tokens: 50 }));
      const passed = engine.requests.map((request) => [
        ...[request.max_completion_tokens, request.max_tokens, request.max_prompt_tokens],
      ]);
      expect(passed).toEqual([
        ...[
          [50, undefined, 9],
          [undefined, 50, 9],
          [undefined, 50, 5],
          [undefined, 50, 9],
        ],
      ]);
    });

    test("on answers at once: 429 with a time to come again", async () => {
      const { handle, ask } = handler({ maxConcurrent: 3 });
      const request = () =>
        new Request(`http://localhost${CHAT}`, {
          ...{ method: "POST", headers: { "content-type": "application/json" } },
          body: body({ n: 2 }),
        });
      const first = await handle(request());
      const { status, headers, text } = await ask({}, body({ n: 2 }));
      expect({ status, after: headers.get("retry-after") }).toEqual({ status: 429, after: "1" });
      expect(JSON.parse(text).error).toMatchObject({
        ...{ type: "rate_limit_error", code: "rate_limit_exceeded" },
      });
      expect((await ask({}, body({ n: 1 }))).status).toBe(200);
      expect(await ask({}, body({ n: 4 }))).toMatchObject({
        status: 400,
        code: "too_many_answers",
      });
      await first.text();
      expect((await ask({}, body({ n: 3 }))).status).toBe(200);
    });

    test("one key's callers leave room to another's", async () => {
      const { handle, ask } = handler({ maxConcurrent: 4, apiKeys: ["a", "b"] });
      const of = (key: string) => ({
        ...{ authorization: `Bearer ${key}`, "content-type": "application/json" },
      });
      const hold = () =>
        handle(
          new Request(`http://localhost${CHAT}`, {
            ...{ method: "POST", headers: of("a"), body: body({}) },
          }),
        );
      const held = [await hold(), await hold()];
      expect((await ask(of("a"))).status).toBe(429);
      expect((await ask(of("b"))).status).toBe(200);
      for (const response of held) await response.body?.cancel();
      expect((await ask(of("a"))).status).toBe(200);
    });
  });

  describe("whose it is", () => {
    const clientOf = async (options: HandlerOptions, key: string, more: object = {}) => {
      const { ask, engine } = handler(options);
      const body = JSON.stringify({ messages: [], stream: true, ...more });
      await ask({ authorization: `Bearer ${key}` }, body, "10.0.0.7");
      const { client, program, cache_salt, session } = engine.requests[0];
      return { client, program, cache_salt, session };
    };

    test("without keys: what the request says, or the address", async () => {
      expect(await clientOf({}, "")).toEqual({ client: "10.0.0.7" });
      expect(await clientOf({}, "", { user: "ann" })).toEqual({ client: "ann" });
      expect(await clientOf({}, "", { user: "ann", client: "tab", program: "p" })).toEqual({
        ...{ client: "tab", program: "p" },
      });
      expect(await clientOf({ apiKeys: ["a"] }, "a", { user: "ann" })).toEqual({ client: "ann" });
    });

    test("with several keys: the key, and nothing of another's is shared", async () => {
      const apiKeys = ["a", "b"];
      const claim = { client: "key-1", user: "key-1", program: "p", session: "s", cache_salt: "x" };
      expect(await clientOf({ apiKeys }, "b", claim)).toEqual({
        ...{ client: "key-2", program: "key-2/p", session: "key-2/s", cache_salt: "key-2/x" },
      });
      expect((await clientOf({ apiKeys }, "a")).cache_salt).toBe("key-1/");
    });
  });

  describe("states", () => {
    test("loading, ready, failed", async () => {
      const engine = new ScriptedEngine();
      let ready = (_: ScriptedEngine["door"]) => {};
      const handle = createHandler(
        new Promise<ScriptedEngine["door"]>((resolve) => {
          ready = resolve;
        }),
      );
      const get = (path: string) => handle(new Request(`http://localhost${path}`));
      const health = await get("/health");
      expect([health.status, await health.json()]).toEqual([503, { status: "loading" }]);
      const models = await get("/v1/models");
      expect([models.status, (await models.json()).error.code]).toEqual([503, "loading"]);
      expect(models.headers.get("retry-after")).toBe("2");
      ready(engine.door);
      await Promise.resolve();
      expect(await (await get("/health")).json()).toEqual({ status: "ok" });
      const faults: ServerFault[] = [];
      const failed = createHandler(Promise.reject(new WeftError("no_adapter", "none")), {
        onFault: (fault) => faults.push(fault),
      });
      await Promise.resolve();
      const response = await failed(new Request("http://localhost/health"));
      expect([response.status, await response.json()]).toEqual([503, { status: "failed" }]);
      const asked = await failed(new Request("http://localhost/v1/models"));
      expect([asked.status, asked.headers.get("x-should-retry")]).toEqual([500, "false"]);
      expect((await asked.json()).error.code).toBe("no_adapter");
      expect(faults).toMatchObject([{ route: "GET /v1/models", error: { message: "none" } }]);
    });
  });
});
