// `weft serve` as a process: what it says where, and how it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createEngine } from "../../node.ts";
import { serve } from "../../server.ts";
import { tinyModel } from "./tiny-model.ts";

const MODEL = tinyModel();
const SERVE = ["serve", "--model", `tiny=${MODEL}`, "--device", "reference", "--port", "0"];
const WEFT = join(import.meta.dirname, "..", "..", "bin", "weft.mjs");

async function start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [WEFT, ...SERVE, "--json", ...args], {
    env: { ...process.env, ...env },
  });
  afterAll(() => child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdout.setEncoding("utf8");
  const ended = once(child, "close");
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (text: string) => {
      stdout += text;
      if (stdout.includes("\n")) resolve();
    });
    child.once("close", () => reject(new Error(stderr)));
  });
  const { url, models } = JSON.parse(stdout);
  const ask = (more: object, key = "none") =>
    fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], ...more }),
    });
  return {
    ...{ url, models, ask, child },
    end: async (signal: "SIGTERM" | "SIGINT") => {
      child.kill(signal);
      const [status] = await ended;
      return { status, stdout, stderr };
    },
  };
}

test("one JSON object, keys from everywhere, and an end that waits for answers", async () => {
  const file = join(MODEL, "keys");
  writeFileSync(file, "# of the team\nfrom-file\n\n", { mode: 0o600 });
  const server = await start(
    ["--api-key", "first", "--api-key", "second", "--api-key-file", file],
    {
      WEFT_API_KEY: "from-env",
    },
  );
  const asked = ["first", "second", "from-file", "from-env", "other"].map(async (key) => {
    const { status } = await server.ask({ max_tokens: 1 }, key);
    return status;
  });
  expect(await Promise.all(asked)).toEqual([200, 200, 200, 200, 401]);
  expect(server.models).toEqual(["tiny"]);
  const stream = await server.ask({ max_tokens: 300, stream: true }, "first");
  const text = stream.text();
  const { status, stdout, stderr } = await server.end("SIGTERM");
  expect(await text).toMatch(/"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/);
  expect(status).toBe(0);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  expect(stderr).toMatch(
    /^weft serve: no new requests; answers under way may end, once more ends them\n$/,
  );
});

test("--drain 0 cuts answers short, says so and ends with 1", async () => {
  const far = await cluster();
  const more = ["--drain", "0", "--host", "0.0.0.0", "--model", "demo=demo"];
  const overflow = ["--overflow", far.url, "--overflow-when", "queue=900,model"];
  const server = await start([...more, ...overflow], { WEFT_OVERFLOW_KEY: "far-key" });
  expect(server.models).toEqual(["tiny", "demo"]);
  const of = async (model: string) => {
    const answer = await server.ask({ model, max_tokens: 1 });
    return [answer.status, await answer.json()];
  };
  expect(await of("demo")).toMatchObject([200, { model: "demo", object: "chat.completion" }]);
  expect(await of("far")).toMatchObject([200, { model: "far", object: "chat.completion" }]);
  expect(await of("farther")).toMatchObject([404, { error: { code: "model_not_found" } }]);
  expect((await far.engine.metrics()).total.requests).toBe(1);
  const metrics = await (await fetch(new URL("/metrics", server.url))).text();
  expect(metrics).toMatch(/^weft_overflow_reasons_total\{reason="model"\} 2$/m);
  expect(metrics).toMatch(/^weft_model_loads_total\{model="demo"\} 1$/m);
  const stream = await server.ask({ max_tokens: 490, stream: true });
  const text = stream.text();
  const { status, stderr } = await server.end("SIGINT");
  expect(await text).toMatch(/data: \{"error":\{.*"code":"shutdown"\}\}\n\n$/);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(
      /^weft serve: WARNING: whoever reaches 0.0.0.0, port \d+, may use .*give --api-key\n.*\n.*cut short: 1/,
    ),
  });
});

/** Another server, with another model. */
async function cluster() {
  const engine = await createEngine({ model: MODEL, device: "reference", name: "far" });
  const server = await serve(engine, { port: 0, apiKeys: ["far-key"], drainMs: 0 });
  afterAll(async () => {
    await server.close();
    await engine.close();
  });
  return { engine, url: server.url };
}
