// The server's beginning and end on a socket.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import type { EngineApi } from "../../../index.ts";
import { serve } from "../../../server.ts";
import { dial, parsed, rawRequest, spoken } from "../raw-http.ts";
import { ScriptedEngine } from "../scripted-engine.ts";
import { MESSAGES, served } from "../served.ts";

describe("listening", () => {
  test("at an address that is taken or another machine's is refused", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const { door } = new ScriptedEngine();
    await expect(serve(door, { port })).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringMatching(/cannot listen at 127.0.0.1, port \d+: .*choose another port/),
    });
    other.close();
    await expect(serve(door, { host: "203.0.113.1", port: 0 })).rejects.toMatchObject({
      message: expect.stringMatching(/choose an address of this machine/),
    });
  });

  test("answers while the model loads: that it loads", async () => {
    const { server } = await served({}, new Promise<EngineApi>(() => {}) as never);
    const health = await fetch(`http://127.0.0.1:${server.port}/health`);
    expect([health.status, await health.json()]).toEqual([503, { status: "loading" }]);
  });

  test("at all addresses goes by this machine's own names alone", async () => {
    const { server } = await served(
      { host: "0.0.0.0", hosts: ["weft.example"] },
      new ScriptedEngine().door,
    );
    const ask = async (host: string) => {
      const socket = await dial({ ...server, host: "127.0.0.1" });
      const answer = spoken(socket);
      socket.write(rawRequest(server, { method: "GET", path: "/health", headers: { host } }));
      return parsed(await answer).status;
    };
    const { port } = server;
    expect(await ask(`127.0.0.1:${port}`)).toBe(200);
    expect(await ask("weft.example")).toBe(200);
    expect(await ask(`127.0.0.1:${port + 1}`)).toBe(403);
    expect(await ask(`evil.example:${port}`)).toBe(403);
  });

  test("ends when answers under way have ended, and tells so meanwhile", async () => {
    const engine = new ScriptedEngine();
    const said = engine.says(Array.from({ length: 400 }, () => "word"));
    const { server } = await served({ drainMs: 5000 }, engine.door);
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ messages: MESSAGES, stream: true });
    const ask = () => fetch(`${server.url}/chat/completions`, { method: "POST", headers, body });
    const text = (await ask()).text();
    const closing = server.close();
    const health = await fetch(`http://127.0.0.1:${server.port}/health`);
    expect([health.status, await health.json()]).toEqual([503, { status: "draining" }]);
    expect((await (await ask()).json()).error.code).toBe("draining");
    expect(await text).toMatch(/\[DONE\]\n\n$/);
    expect(await closing).toBe(0);
    expect(said.isAborted).toBe(false);
    await expect(ask()).rejects.toThrow();
  });

  test("ends at once when it is closed twice, and callers are told", async () => {
    const engine = new ScriptedEngine();
    const said = engine.says(Array.from({ length: 1e5 }, () => "word"));
    const { server } = await served({ drainMs: 60_000 }, engine.door);
    const stream = await fetch(`${server.url}/chat/completions`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({ messages: MESSAGES, stream: true }),
    });
    const text = stream.text();
    const idle = await dial(server);
    const closing = server.close();
    expect(await server.close()).toBe(1);
    expect(await text).toMatch(/"code":"shutdown"\}\}\n\n$/);
    expect(said.isAborted).toBe(true);
    expect(await closing).toBe(1);
    expect(idle.destroyed || (await once(idle, "close"))).toBeTruthy();
  });
});
