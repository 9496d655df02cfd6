// Who is let in: names and origins, keys, types and sizes of bodies.

import { describe, expect, test } from "vitest";
import { CHAT, handler } from "../scripted-handler.ts";

describe("who is let in", () => {
  describe("names", () => {
    const { ask, get } = handler();
    test.each([
      ["localhost", 200],
      ["LOCALHOST:8000", 200],
      ["127.0.0.1:1234", 200],
      ["[::1]:8000", 200],
      ["evil.example", 403],
      ["localhost.evil.example:8000", 403],
      ["127.0.0.1.evil.example", 403],
      ["localhost, evil.example", 403],
      ["0.0.0.0:8000", 403],
      ["", 403],
    ])("host %j: %i", async (host, status) => {
      expect((await ask({ host })).status).toBe(status);
      expect((await get("/health", { host })).status).toBe(status);
    });

    test("with a port hold for that port", async () => {
      const { ask } = handler({ hosts: ["Example.org", "localhost:80", "localhost:8000"] });
      for (const [host, status] of [
        ...([["example.org", 200] as const, ["example.org:99", 200]] as const),
        ...([["localhost", 200] as const, ["localhost:8000", 200]] as const),
        ["localhost:8001", 403] as const,
      ]) {
        expect((await ask({ host })).status, host).toBe(status);
      }
    });
  });

  describe("pages", () => {
    test("of other origins are refused, a link's or an image's too", async () => {
      const { ask, get, engine } = handler();
      for (const headers of [
        { origin: "https://evil.example" },
        { origin: "null" },
        { origin: "http://localhost:3000" },
        { origin: "https://localhost:8000.evil.example" },
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
      ] as Record<string, string>[]) {
        expect(await ask(headers), JSON.stringify(headers)).toMatchObject({
          ...{ status: 403, code: "origin_not_allowed" },
        });
        expect((await get("/health", headers)).status).toBe(403);
        expect(
          (await get(CHAT, headers, "OPTIONS")).headers.get("access-control-allow-origin"),
        ).toBe(null);
      }
      expect(engine.requests).toEqual([]);
    });

    test("of the server's own origin, and programs, are not", async () => {
      const { ask } = handler();
      expect((await ask({ origin: "http://localhost:8000", host: "localhost:8000" })).status).toBe(
        200,
      );
      expect((await ask({ "sec-fetch-site": "same-origin" })).status).toBe(200);
      expect((await ask({ "sec-fetch-site": "none" })).status).toBe(200);
    });

    test("of allowed origins get what a browser asks for beforehand, and answers that they may read", async () => {
      const { ask, get } = handler({ origins: ["https://app.example"], apiKeys: ["k"] });
      const origin = "https://app.example";
      const preflight = await get(
        CHAT,
        {
          ...{ origin, "access-control-request-method": "POST" },
          "access-control-request-headers": "authorization, content-type, x-stainless-os",
          "access-control-request-private-network": "true",
        },
        "OPTIONS",
      );
      expect(preflight.status).toBe(204);
      expect(Object.fromEntries(preflight.headers)).toMatchObject({
        "access-control-allow-origin": origin,
        "access-control-allow-headers": expect.stringContaining("authorization"),
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-private-network": "true",
        vary: expect.stringMatching(/Origin/i),
      });
      const answer = await ask({ origin, authorization: "Bearer k" });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
      // An error is an answer, too.
      const refused = await ask({ origin });
      expect(refused.status).toBe(401);
      expect(refused.headers.get("access-control-allow-origin")).toBe(origin);
      expect((await ask({ origin: "https://other.example" })).status).toBe(403);
    });

    test("of all origins, where that is allowed", async () => {
      const { ask } = handler({ origins: ["*"] });
      const { status, headers } = await ask({ origin: "https://any.example" });
      expect(status).toBe(200);
      expect(headers.get("access-control-allow-origin")).toBe("https://any.example");
    });
  });

  describe("keys", () => {
    const { ask, get } = handler({ apiKeys: ["first-key", "second-key"] });
    test.each([
      ["Bearer first-key", 200],
      ["bearer  second-key", 200],
      ["Bearer first-ke", 401],
      ["Bearer first-keyy", 401],
      ["Bearer ", 401],
      ["Basic first-key", 401],
      ["first-key", 401],
      ["Bearer first-key second-key", 401],
    ])("%j: %i", async (authorization, status) => {
      const answer = await ask({ authorization });
      expect(answer.status).toBe(status);
      if (status === 401) expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    });

    test("are needed everywhere but for the state of health", async () => {
      expect((await ask()).code).toBe("invalid_api_key");
      for (const path of ["/metrics", "/v1/models", "/v1/models/x", "/v1/nowhere"]) {
        expect((await get(path)).status, path).toBe(401);
      }
      expect((await get("/health")).status).toBe(200);
      expect((await get("/nowhere")).status).toBe(404);
    });

    test("say nothing of themselves when they are no keys", () => {
      const make = () => handler({ apiKeys: ["secret word"] });
      expect(make).toThrow(/a key of 11 characters, it must be visible ASCII/);
      expect(make).not.toThrow(/secret/);
    });
  });

  describe("bodies", () => {
    const { ask, engine } = handler({ maxBodyBytes: 1000, bodyTimeoutMs: 50 });
    const deep = (levels: number) => `{"messages":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    test.each<[string, Record<string, string>, BodyInit, number, string]>([
      ["a form's type", { "content-type": "text/plain" }, "{}", 415, "unsupported_media_type"],
      ["no type", { "content-type": "" }, "{}", 415, "unsupported_media_type"],
      ["JSON lines", { "content-type": "application/jsonl" }, "{}", 415, "unsupported_media_type"],
      [
        "another charset",
        { "content-type": "application/json; charset=utf-16" },
        "{}",
        415,
        "unsupported_media_type",
      ],
      ["a compressed one", { "content-encoding": "gzip" }, "{}", 415, "unsupported_media_type"],
      ["a long one", {}, " ".repeat(1001), 413, "body_too_large"],
      ["none", {}, "", 400, "invalid_body"],
      ["a half one", {}, '{"messages":', 400, "invalid_body"],
      ["a list", {}, "[]", 400, "invalid_body"],
      ["null", {}, "null", 400, "invalid_body"],
      ["not UTF-8", {}, new Uint8Array([0x7b, 0xff, 0x7d]), 400, "invalid_body"],
      ["half a letter", {}, new Uint8Array([0x22, 0xc3, 0x22]), 400, "invalid_body"],
      ["a deep one", {}, deep(101), 400, "invalid_body"],
    ])("%s: refused", async (_, headers, body, status, code) => {
      expect(await ask(headers, body)).toMatchObject({ status, code });
    });

    test("that come too slowly are refused, and those that come in pieces are not", async () => {
      const { engine, handle } = handler({ bodyTimeoutMs: 60 });
      engine.says(["Hi"]);
      const send = (pieces: readonly string[], ms: number) =>
        handle(
          new Request(`http://localhost${CHAT}`, {
            method: "POST",
            headers: { "content-type": "application/json; charset=UTF-8" },
            body: new ReadableStream({
              async start(controller) {
                for (const piece of pieces) {
                  await new Promise((resolve) => setTimeout(resolve, ms));
                  controller.enqueue(new TextEncoder().encode(piece));
                }
                controller.close();
              },
            }),
            duplex: "half",
          } as RequestInit),
        );
      expect((await send(['{"messages":', "[],", '"stream":true}'], 1)).status).toBe(200);
      const late = await send(["{", "}"], 60);
      expect(late.status).toBe(408);
      expect((await late.json()).error.code).toBe("body_timeout");
    });

    test("with keys of prototypes pollute nothing", async () => {
      const body =
        '{"messages":[],"stream":true,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
      expect((await ask({}, body)).status).toBe(200);
      expect(({} as { polluted?: 1 }).polluted).toBeUndefined();
      expect((engine.requests.at(-1) as { polluted?: 1 }).polluted).toBeUndefined();
    });

    test("with brackets in texts are no deeper", async () => {
      const body = JSON.stringify({ stream: true, messages: ['[[["\\'.repeat(100)] });
      expect((await ask({}, body)).status).toBe(200);
    });
  });
});
