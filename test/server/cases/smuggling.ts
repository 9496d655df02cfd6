// Heads and framing that are read one way by one server and another way by the next, and names under which a page
// could be made to ask: each gets one answer in OpenAI's shape, or none where another answer is under way.

import { beforeAll, describe, expect, test } from "vitest";
import { answerTo, dial, parsed, rawRequest, spoken } from "../raw-http.ts";
import { atRest, MESSAGES, type Served, served } from "../served.ts";

const body = JSON.stringify({ messages: MESSAGES, max_tokens: 1 });
const chunked = (text: string, extension = "") =>
  `${text.length.toString(16)}${extension}\r\n${text}\r\n0\r\n\r\n`;
const INNER = "GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";

describe("what is read in two ways", () => {
  let main: Served;
  beforeAll(async () => {
    main = await served({ headersTimeoutMs: 1000, bodyTimeoutMs: 1000 });
  });

  /** The statuses of all answers on the connection, and what the last says. */
  async function told(bytes: string): Promise<{ statuses: number[]; code: string | undefined }> {
    const answer = await answerTo(main.server, bytes);
    expect(answer).not.toContain("(still open)");
    const heads = [...answer.matchAll(/HTTP\/1.1 (\d+) /g)];
    const statuses = heads.map(([, status]) => Number(status));
    const error = /\{"error":.*\}/.exec(answer)?.[0];
    const said = error && JSON.parse(error).error;
    if (statuses.at(-1)! >= 400) expect(said?.message, answer).toMatch(/./);
    return { statuses, code: said?.code };
  }

  const lines = (...all: string[]) => `${all.join("\r\n")}\r\n\r\n`;
  const post = (...headers: string[]) =>
    lines(
      "POST /v1/chat/completions HTTP/1.1",
      ...[`host: 127.0.0.1:${main.server.port}`, "content-type: application/json"],
      ...headers,
      "connection: close",
    );
  const length = `content-length: ${body.length}`;
  const CHUNKED = "transfer-encoding: chunked";

  test.each<[string, readonly string[], string, number, string?]>([
    ["a length and chunks", [length, CHUNKED], chunked(body), 400, "bad_request"],
    ["another behind both", ["content-length: 5", CHUNKED], `0\r\n\r\n${INNER}`, 400],
    ["a coding that nobody knows", ["transfer-encoding: xchunked"], chunked(body), 400],
    ["chunks not last", ["transfer-encoding: chunked, identity"], chunked(body), 400],
    ["a packed body in chunks", ["transfer-encoding: gzip, chunked"], chunked(body), 400],
    ["two codings", [CHUNKED, "transfer-encoding: identity"], chunked(body), 400],
    ["a space before the colon", ["transfer-encoding : chunked"], chunked(body), 400],
    ["an odd space before chunked", ["transfer-encoding: \x0bchunked"], chunked(body), 400],
    ["a folded line", ["x-a: 1", "  chunked"], body, 400],
    ["lengths with commas", [`${length}, ${body.length}`], body, 400],
    ["a length with a sign", [`content-length: +${body.length}`], body, 400],
    ["a length in hex", ["content-length: 0x10"], body, 400],
    ["a length that is too short", ["content-length: 4"], body, 400, "invalid_body"],
    ["no length at all", [], body, 400, "invalid_body"],
    ["a chunk of a negative length", [CHUNKED], "-1\r\nx\r\n", 400, "bad_request"],
    ["a chunk of an endless length", [CHUNKED], "FFFFFFFFFFFFFFFFF\r\n", 400, "bad_request"],
    ["a chunk in another notation", [CHUNKED], "0x5\r\nxxxxx\r\n0\r\n\r\n", 400],
    ["chunks without carriage returns", [CHUNKED], "5\nxxxxx\n0\n\n", 400],
    ["an endless extension", [CHUNKED], chunked(body, `;a=${"x".repeat(30_000)}`), 400],
    ["an extension", [CHUNKED], chunked(body, ";a=b"), 200],
    ["trailers", [CHUNKED], `${chunked(body).slice(0, -2)}host: evil.example\r\n\r\n`, 200],
    ["what must be awaited", [length, "expect: 200-ok"], body, 417, "expectation_failed"],
  ])("%s: one answer", async (_, headers, sent, status, code) => {
    const { statuses, code: saidCode } = await told(post(...headers) + sent);
    expect(statuses).toEqual([status]);
    if (code) expect(saidCode).toBe(code);
  });

  test.each<[string, (own: string) => string, number]>([
    ["no host", () => lines("GET /health HTTP/1.1", "connection: close"), 400],
    ["no host in HTTP/1.0", () => lines("GET /health HTTP/1.0"), 400],
    ["HTTP/1.0", (own) => lines("GET /health HTTP/1.0", `host: ${own}`), 200],
    ["HTTP/0.9", () => "GET /health\r\n\r\n", 400],
    ["HTTP/2", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["lines without carriage returns", (own) => `GET /health HTTP/1.1\nhost: ${own}\n\n`, 400],
    ["a tunnel", (own) => lines(`CONNECT ${own} HTTP/1.1`, `host: ${own}`), 405],
    ["a tunnel elsewhere", () => lines("CONNECT evil.example:443 HTTP/1.1", "host: e"), 405],
  ])("%s", async (_, bytes, status) => {
    const { statuses } = await told(bytes(`127.0.0.1:${main.server.port}`));
    expect(statuses).toEqual([status]);
  });

  test.each<[string, (port: number) => string, number]>([
    ["a user before it", (port) => `u@localhost:${port}`, 400],
    ["a dot behind it", (port) => `localhost.:${port}`, 403],
    ["capitals", (port) => `LOCALHOST:${port}`, 200],
    ["a zero before the port", (port) => `localhost:0${port}`, 403],
    ["no port", () => "localhost", 403],
    ["an empty port", () => "localhost:", 400],
    ["any address", (port) => `0.0.0.0:${port}`, 403],
    ["any address of IPv6", (port) => `[::]:${port}`, 403],
    ["IPv6 as it is written in full", (port) => `[0:0:0:0:0:0:0:1]:${port}`, 400],
    ["IPv4 within IPv6", (port) => `[::ffff:127.0.0.1]:${port}`, 400],
    ["IPv6", (port) => `[::1]:${port}`, 200],
    ["an address as one number", (port) => `2130706433:${port}`, 403],
    ["an address with parts left out", (port) => `127.1:${port}`, 403],
    ["a path behind it", (port) => `localhost:${port}/x`, 400],
    ["a query behind it", (port) => `localhost:${port}?x`, 400],
    ["nothing", () => "", 400],
    ["two of them", (port) => `localhost:${port}\r\nhost: evil.example`, 403],
    ["two, its own last", (port) => `evil.example\r\nhost: localhost:${port}`, 403],
  ])("as host: %s", async (_, host, status) => {
    const head = ["GET /health HTTP/1.1", `host: ${host(main.server.port)}`, "connection: close"];
    const { statuses } = await told(lines(...head));
    expect(statuses).toEqual([status]);
  });

  test("a host beyond a hundred headers is not looked for", async () => {
    const many = Array.from({ length: 101 }, (_, i) => `h${i}: 1`);
    const { statuses, code } = await told(lines("GET /health HTTP/1.1", ...many, "host: x"));
    expect({ statuses, code }).toEqual({ statuses: [431], code: "too_many_headers" });
  });

  test("rubbish behind a request ends the connection once it has its answer", async () => {
    const { server, engine } = main;
    const stream = JSON.stringify({ messages: MESSAGES, max_tokens: 40, stream: true });
    const request = rawRequest(server, { body: stream, keepAlive: true });
    const answer = await answerTo(server, `${request}rubbish\r\n\r\n`);
    expect(parsed(answer).status).toBe(200);
    expect(answer).toContain("data: [DONE]");
    expect(answer.indexOf("HTTP/1.1", 8)).toBe(-1);
    await atRest(engine);
  });

  test("who sends rubbish behind a request and goes has no answer made", async () => {
    const { server, engine } = main;
    const before = (await engine.metrics()).total.aborted;
    const stream = JSON.stringify({ messages: MESSAGES, max_tokens: 400, stream: true });
    const socket = await dial(server);
    const all = spoken(socket);
    socket.write(`${rawRequest(server, { body: stream, keepAlive: true })}rubbish\r\n\r\n`);
    socket.once("data", () => socket.end());
    await all;
    await atRest(engine);
    expect((await engine.metrics()).total.aborted - before).toBe(1);
  });
});
