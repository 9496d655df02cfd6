// Requests that a server may refuse, but must not stumble over: one behind another, not HTTP, wrong methods, paths
// that lead elsewhere.

import { beforeAll, describe, expect, test } from "vitest";
import { answerTo, parsed, rawRequest } from "../raw-http.ts";
import { atRest, MESSAGES, type Served, served } from "../served.ts";

const body = JSON.stringify({ messages: MESSAGES, max_tokens: 1 });

describe("odd requests", () => {
  let main: Served;
  beforeAll(async () => {
    main = await served();
  });

  test("requests one behind another are answered in order", async () => {
    const { server } = main;
    const get = (path: string) => rawRequest(server, { method: "GET", path, keepAlive: true });
    const last = rawRequest(server, { body });
    const answer = await answerTo(server, get("/health") + get("/v1/nowhere") + last);
    const statuses = [...answer.matchAll(/HTTP\/1.1 (\d+) /g)].map(([, status]) => status);
    expect(statuses).toEqual(["200", "404", "200"]);
  });

  test("rubbish behind a request does not get into its answer", async () => {
    const { server } = main;
    const stream = JSON.stringify({ messages: MESSAGES, max_tokens: 40, stream: true });
    const answer = await answerTo(server, `${rawRequest(server, { body: stream })}rubbish\r\n\r\n`);
    expect(answer.indexOf("HTTP/1.1", 8)).toBe(-1);
    await atRest(main.engine);
  });

  test.each([
    ["not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
    ["two lengths", "POST /health HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400],
    ["no host", "GET /health HTTP/1.1\r\nconnection: close\r\n\r\n", 400],
    ["a broken host", "GET /health HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", 400],
    ["a NUL", "GET /health\0 HTTP/1.1\r\n\r\n", 400],
  ])("%s", async (_, bytes, status) => {
    expect(parsed(await answerTo(main.server, bytes)).status).toBe(status);
  });

  test.each([
    ["DELETE", "/v1/chat/completions", 405],
    ["GET", "/v1/chat/completions", 405],
    ["PUT", "/health", 405],
    ["TRACE", "/health", 405],
    ["BREW", "/health", 400],
    ["GET", "/v1/models/../../etc/passwd", 404],
    ["GET", "/v1/models/..%2f..%2fetc%2fpasswd", 404],
    ["GET", "/%2e%2e/%2e%2e/etc/passwd", 404],
    ["GET", "/v1/models/%ff%00", 404],
    ["GET", "//evil.example/v1/models", 404],
    ["GET", "http://evil.example/v1/models", 200],
    ["GET", `/${"a/".repeat(5000)}`, 404],
    ["GET", "/__proto__", 404],
    ["GET", "/constructor", 404],
    ["GET", "/v1/models/constructor", 404],
  ])("%s %s", async (method, path, status) => {
    const { server } = main;
    const answer = parsed(await answerTo(server, rawRequest(server, { method, path })));
    expect(answer.status).toBe(status);
    expect(answer.body).not.toContain("root:");
  });
});
