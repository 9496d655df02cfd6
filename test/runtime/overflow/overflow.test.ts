// Requests of one engine at two places: a scripted engine, and a server on the loopback that does as told.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import type { ChatCompletionRequest } from "../../../runtime/openai/chat-request.ts";
import { OverflowEngine, type OverflowOptions } from "../../../runtime/overflow/index.ts";
import { type Scripted, ScriptedAnswers } from "../../harness/scripted-answers.ts";
import { FakeCluster } from "./fake-cluster.ts";

const KEY = "sk-a-secret";
const HERE: Scripted[] = [{ content: "from " }, { content: "here" }, { finish: "stop" }];
const LOST = new WeftError("device_lost", "the device was lost; create the engine again");
const TOO_LONG = new WeftError("request_too_long", "too long; shorten the prompt");

let cluster: FakeCluster;
let local: ScriptedAnswers;
let engine: OverflowEngine;

function open(script: readonly Scripted[] = HERE, options: Partial<OverflowOptions> = {}): void {
  local = new ScriptedAnswers(() => script);
  engine = new OverflowEngine(local.engine, {
    ...{ baseURL: cluster.baseURL, apiKey: KEY },
    ...options,
  });
}

beforeEach(async () => {
  cluster = await FakeCluster.listen();
  open();
});
afterEach(() => cluster.die().catch(() => {}));

const ASK: ChatCompletionRequest = { messages: [{ role: "user", content: "Where?" }] };
const saturated = () => {
  local.queueMs = 5000;
};

/** What a caller sees of a stream: its text, and why it ended. */
async function read(request: Partial<ChatCompletionRequest> = {}, signal?: AbortSignal) {
  const seen = {
    text: "",
    reason: "",
    ids: new Set<string>(),
    created: new Set<number>(),
    roles: 0,
  };
  let error: unknown;
  try {
    const stream = await engine.chat.completions.create(
      { ...ASK, ...request, stream: true },
      { signal },
    );
    for await (const { id, created, choices } of stream) {
      seen.ids.add(id);
      seen.created.add(created);
      const [{ delta, finish_reason: reason }] = choices;
      if (delta.role) seen.roles += 1;
      seen.text += delta.content ?? "";
      seen.reason += reason ?? "";
    }
  } catch (thrown) {
    error = thrown;
  }
  return { ...seen, error: error as WeftError | undefined };
}

const overflow = async () => (await engine.metrics()).overflow!;

describe("a request stays", () => {
  test("while it need not wait", async () => {
    expect((await read()).text).toBe("from here");
    expect([cluster.answers.length, cluster.numLists]).toEqual([0, 0]);
    expect(await overflow()).toMatchObject({ local: 1, cluster: 0 });
  });

  test("when no other server could do as it asks", async () => {
    saturated();
    cluster.owner = "openai";
    for (const own of [
      { adapter: "law" },
      { layer_policy: { name: "static", plan: "fast" } as never },
      { response_format: { type: "regex", pattern: "a+" } as const },
    ]) {
      expect((await read(own)).text).toBe("from here");
    }
    expect(cluster.answers).toEqual([]);
    expect(await overflow()).toMatchObject({ movedToLocal: 3, clusterState: { failures: 0 } });
  });
});

describe("a request goes to the cluster", () => {
  test("when it would wait too long here", async () => {
    saturated();
    const { text, reason, ids, roles, error } = await read({ temperature: 0.5, top_k: 3 });
    expect([text, reason, ids.size, error]).toEqual(["from afar", "stop", 1, undefined]);
    expect(roles).toBeLessThanOrEqual(1);
    const [{ request }] = cluster.answers;
    expect(request.path).toBe("/v1/chat/completions");
    expect(request.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(request.body).toEqual({
      ...{ ...ASK, temperature: 0.5, top_k: 3, model: "big", stream: true },
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    expect(local.asked).toEqual([]);
    expect(await overflow()).toMatchObject({ cluster: 1, reasons: { queue: 1 } });
  });

  test("when it would miss its deadline here", async () => {
    local.queueMs = 300;
    expect((await read({ deadline_ms: 500 })).text).toBe("from here");
    expect((await read({ deadline_ms: 200 })).text).toBe("from afar");
    expect(cluster.answers[0].request.body).not.toHaveProperty("deadline_ms");
    expect((await overflow()).reasons).toMatchObject({ deadline: 1, queue: 0 });
  });

  test("when it is too long for this engine", async () => {
    open([TOO_LONG]);
    expect((await read()).text).toBe("from afar");
    expect(await overflow()).toMatchObject({ local: 1, reasons: { context: 1 } });
  });

  test("when its model is there, and not here", async () => {
    cluster.models = ["big", "bigger"];
    expect((await read({ model: "bigger" })).text).toBe("from afar");
    expect(cluster.answers[0].request.body.model).toBe("bigger");
    expect((await read({ model: "scripted" })).text).toBe("from here");
    const { error } = await read({ model: "biggest" });
    expect(error).toMatchObject({ code: "model_not_found" });
    expect(error?.message).toContain('"bigger"');
  });

  test("when this engine's device is gone", async () => {
    open([LOST]);
    expect((await read()).text).toBe("from afar");
    expect(await overflow()).toMatchObject({ movedToCluster: 1, reasons: { lost: 1 } });
  });

  test("only for reasons that it was told", async () => {
    const when = { queueMs: 10_000, deadline: false, context: false, model: false };
    open(HERE, { when });
    saturated();
    expect((await read({ deadline_ms: 1 })).text).toBe("from here");
    open([TOO_LONG], { when });
    expect((await read()).error).toBe(TOO_LONG);
    expect(cluster.answers).toEqual([]);
  });

  test("whole as well as in pieces, with its usage", async () => {
    saturated();
    const { choices, usage, object } = await engine.chat.completions.create(ASK);
    expect([object, choices[0].message.content]).toEqual(["chat.completion", "from afar"]);
    expect(usage).toEqual({ prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 });
  });

  test("with what it needs in that server's own words", async () => {
    saturated();
    const response_format = { type: "regex", pattern: "a+" } as const;
    await read({ response_format, priority: "background", client: "me", session: "s" });
    const { body } = cluster.answers[0].request;
    expect(body).toMatchObject({ structured_outputs: { regex: "a+" } });
    for (const field of ["response_format", "priority", "client", "session"]) {
      expect(body).not.toHaveProperty(field);
    }
    open();
    saturated();
    cluster.owner = "weft";
    await read({ response_format, priority: "background", session: "s" });
    expect(cluster.answers[1].request.body).toMatchObject({
      response_format,
      priority: "background",
    });
    expect(cluster.answers[1].request.body).not.toHaveProperty("session");
  });
});

describe("chunks of the cluster", () => {
  test("are as ours, with reasoning and calls", async () => {
    saturated();
    cluster.onAnswer = (answer) => {
      answer.say({ role: "assistant", content: "" }).say({ reasoning: "Hm." });
      const call = {
        index: 0,
        id: "c",
        type: "function",
        function: { name: "f", arguments: "{}" },
      };
      answer.say({ content: null, tool_calls: [call] }).end("tool_calls");
    };
    const stream = await engine.chat.completions.create({ ...ASK, stream: true });
    const deltas: unknown[] = [];
    for await (const { choices, ...rest } of stream) {
      deltas.push([choices[0].delta, choices[0].finish_reason]);
      expect(rest).toEqual({
        ...{ id: "cluster-1", object: "chat.completion.chunk", created: 7, model: "big" },
      });
    }
    expect(deltas).toEqual([
      [{ role: "assistant" }, null],
      [{ reasoning_content: "Hm." }, null],
      [{ tool_calls: [expect.objectContaining({ id: "c" })] }, null],
      [{}, "tool_calls"],
    ]);
  });

  test("come through wherever they are cut, between comments", async () => {
    saturated();
    cluster.onAnswer = async (answer) => {
      const text = JSON.stringify({ choices: [{ index: 0, delta: { content: "é漢😀" } }] });
      for (const byte of new TextEncoder().encode(`: ping\r\n\r\ndata: ${text}\r\n\r\n`)) {
        answer.write(new Uint8Array([byte]));
        if (byte > 127) await new Promise(setImmediate);
      }
      answer.end();
    };
    expect((await read()).text).toBe("é漢😀");
  });
});

describe("a cluster that fails", () => {
  test.each([
    ["refuses the connection", async () => cluster.die()],
    ["answers with a server error", () => onAnswer((answer) => answer.refuse(500, "no GPU"))],
    ["is busy", () => onAnswer((answer) => answer.refuse(429, "later"))],
    ["does not know the key", () => onAnswer((answer) => answer.refuse(401, `bad key ${KEY}`))],
    ["breaks off before it says anything", () => onAnswer((answer) => answer.begin().die())],
    ["ends before it says anything", () => onAnswer((answer) => answer.begin().leaveOff())],
    ["sends what is no event stream", () => onAnswer((a) => a.begin("text/html").leaveOff())],
    ["sends what is no JSON", () => onAnswer((answer) => answer.write("data: {oops\n\n"))],
    ["says that it failed", () => onAnswer((a) => a.chunk({ error: { message: "out of KV" } }))],
    ["gives the answer up", () => onAnswer((answer) => answer.say({}, "abort").leaveOff())],
    ["will not have the request", () => onAnswer((answer) => answer.refuse(400, "no top_k"))],
  ])("and %s loses no request", async (_, fail) => {
    saturated();
    await fail();
    const { text, error, ids } = await read();
    expect([text, error, ids.size]).toEqual(["from here", undefined, 1]);
    expect(await overflow()).toMatchObject({ cluster: 1, movedToLocal: 1, broken: 0 });
    expect(JSON.stringify(await overflow())).not.toContain(KEY);
  });

  test.each([
    ["does not answer", { connectMs: 30 }, () => {}],
    ["does not begin", { firstChunkMs: 30 }, (answer: Answer) => answer.write(": ping\n\n")],
  ])("and %s in time is given up", async (_, timeouts, behave) => {
    open(HERE, { timeouts });
    saturated();
    onAnswer(behave);
    expect((await read()).text).toBe("from here");
    expect((await overflow()).clusterState.lastFailure).toContain("within 30 ms");
  });

  test("is left alone for as long as it asks", async () => {
    saturated();
    onAnswer((answer) => answer.refuse(503, "later", { "retry-after": "20" }));
    await read();
    const { clusterState } = await overflow();
    expect(clusterState.state).toBe("open");
    expect(clusterState.waitMs).toBeGreaterThan(15_000);
    for (let i = 0; i < 3; i++) expect((await read()).text).toBe("from here");
    expect(cluster.answers).toHaveLength(1);
    expect(await overflow()).toMatchObject({ kept: 3 });
  });

  test("is probed before a request goes there again", async () => {
    saturated();
    onAnswer((answer) => answer.refuse(503, "later", { "retry-after": "0.02" }));
    await read();
    await read();
    const { waitMs } = (await overflow()).clusterState;
    expect(waitMs).toBeLessThan(1300);
    await new Promise((resolve) => setTimeout(resolve, waitMs + 5));
    onAnswer((answer) => answer.say("back").end());
    const lists = cluster.numLists;
    expect((await read()).text).toBe("from here");
    await expect.poll(() => cluster.numLists).toBe(lists + 1);
    await expect.poll(async () => (await overflow()).clusterState.state).toBe("closed");
    expect((await read()).text).toBe("back");
  });

  test("is named where nothing else can serve the request, without its key", async () => {
    open([TOO_LONG]);
    onAnswer((answer) => answer.refuse(500, `no GPU for ${KEY}`));
    const { error } = await read();
    expect(error).toMatchObject({ code: "cluster_failed" });
    expect(error?.message).toMatch(/127\.0\.0\.1.*answered 500: no GPU for …/);
    onAnswer((answer) => answer.refuse(400, "prompt is longer than 4096 tokens"));
    expect((await read()).error).toMatchObject({ code: "bad_request" });
  });
});

describe("an answer that breaks off", () => {
  test.each([
    ["its connection", (answer: Answer) => answer.die()],
    ["its server says so", (answer: Answer) => answer.chunk({ error: "gone" })],
    ["it just ends", (answer: Answer) => answer.leaveOff()],
  ])("at the cluster (%s) goes on here, and nothing comes twice", async (_, breakOff) => {
    open([{ content: " jumps" }, { content: " over." }, { finish: "stop" }]);
    saturated();
    onAnswer(async (answer) => {
      answer.say({ role: "assistant" }).say("The quick ").say("fox");
      await new Promise((resolve) => setTimeout(resolve, 20));
      breakOff(answer);
    });
    const { text, reason, ids, created, roles, error } = await read({ max_tokens: 10 });
    expect(error).toBeUndefined();
    expect([text, reason]).toEqual(["The quick fox jumps over.", "stop"]);
    expect([ids.size, created.size, roles]).toEqual([1, 1, 1]);
    expect(local.asked[0]).toMatchObject({
      messages: [...ASK.messages, { role: "assistant", content: "The quick fox" }],
      ...{ continue_final_message: true, max_tokens: 8 },
    });
    expect(await overflow()).toMatchObject({ continued: 1, broken: 0 });
  });

  test("here goes on at the cluster", async () => {
    open([{ content: "The quick" }, { content: " fox " }, LOST]);
    onAnswer((answer) => answer.say(" jumps").end("stop", USAGE));
    const request = { ...ASK, stream: true, stream_options: { include_usage: true } } as const;
    let text = "";
    let usage: unknown;
    for await (const chunk of await engine.chat.completions.create(request)) {
      text += chunk.choices.at(0)?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    // The space stood at the end of what had been said.
    expect(text).toBe("The quick fox jumps");
    expect(cluster.answers[0].request.body).toMatchObject({
      messages: [...ASK.messages, { role: "assistant", content: "The quick fox" }],
      ...{ continue_final_message: true, add_generation_prompt: false },
    });
    expect(usage).toEqual({ prompt_tokens: 18, completion_tokens: 5, total_tokens: 23 });
  });

  test.each<[string, object, Partial<ChatCompletionRequest>]>([
    ["thinking", { reasoning_content: "Hm" }, {}],
    ["a call", { tool_calls: [{ index: 0, id: "c", function: { name: "f" } }] }, {}],
    ["JSON of a schema", { content: "{" }, { response_format: { type: "json_object" } }],
    ["one of several", { content: "The" }, { n: 2 }],
  ])("in %s is an error that says so", async (_, delta, request) => {
    saturated();
    onAnswer((answer) => {
      answer.say(delta);
      setTimeout(() => answer.die(), 20);
    });
    const { error } = await read(request);
    expect(error).toMatchObject({ code: "stream_broken" });
    expect(local.asked).toEqual([]);
    expect(await overflow()).toMatchObject({ broken: 1, continued: 0 });
  });

  test("here is an error where the cluster is not known to go on with one", async () => {
    open([{ content: "The" }, LOST]);
    cluster.owner = "somebody";
    const { text, error } = await read();
    expect([text, error?.code]).toEqual(["The", "stream_broken"]);
    expect(cluster.answers).toEqual([]);
  });

  test("at both places is an error with all that was said", async () => {
    open([{ content: " jumps" }, LOST]);
    saturated();
    onAnswer((answer) => {
      answer.say("The fox");
      setTimeout(() => answer.die(), 20);
    });
    const { text, error } = await read();
    expect([text, error?.code]).toEqual(["The fox jumps", "stream_broken"]);
  });

  test("behind its last word has not broken off", async () => {
    saturated();
    onAnswer((answer) => {
      answer.say("done", "stop");
      setTimeout(() => answer.die(), 20);
    });
    const { text, error } = await read();
    expect([text, error]).toEqual(["done", undefined]);
  });
});

describe("a caller", () => {
  test("that aborts ends the request there", async () => {
    saturated();
    onAnswer((answer) => answer.say("The"));
    const controller = new AbortController();
    const { signal } = controller;
    const stream = await engine.chat.completions.create({ ...ASK, stream: true }, { signal });
    const reading = (async () => {
      for await (const { choices } of stream) if (choices[0].delta.content) controller.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    await expect.poll(() => cluster.answers[0].isAbandoned).toBe(true);
    expect(local.asked).toEqual([]);
    expect((await overflow()).clusterState.failures).toBe(0);
  });

  test("that leaves ends the request there", async () => {
    saturated();
    onAnswer((answer) => answer.say("The"));
    for await (const _ of await engine.chat.completions.create({ ...ASK, stream: true })) break;
    await expect.poll(() => cluster.answers[0].isAbandoned).toBe(true);
  });

  test("that reads slowly does not make the cluster look silent", async () => {
    open(HERE, { timeouts: { idleMs: 40 } });
    saturated();
    onAnswer((answer) => answer.say("a").say("b").end());
    let text = "";
    for await (const { choices } of await engine.chat.completions.create({
      ...ASK,
      stream: true,
    })) {
      text += choices[0].delta.content ?? "";
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(text).toBe("ab");
  });

  test("that closes the engine ends what runs there", async () => {
    saturated();
    onAnswer((answer) => {
      answer.say("The");
      setTimeout(() => void engine.close(), 20);
    });
    expect((await read()).error).toMatchObject({ code: "engine_closed" });
    expect(local.isClosed).toBe(true);
    expect((await read()).error).toMatchObject({ code: "engine_closed" });
  });
});

test.each([
  [{ baseURL: "ftp://x/v1" }, /baseURL is ftp.*http\(s\)/],
  [{ baseURL: `https://me:${KEY}@x/v1` }, /has a user/],
  [{ apiKey: { secret: KEY } as never }, /apiKey is no text/],
  [{ when: { queueMs: -1 } }, /queueMs is -1/],
  [{ timeouts: { idleMs: 0 } }, /idleMs is 0/],
])("options %j are refused, and no key is told", (options, message) => {
  const make = () => open(HERE, options);
  expect(make).toThrow(message);
  try {
    make();
  } catch (error) {
    expect(String(error)).not.toContain(KEY);
  }
});

type Answer = FakeCluster["answers"][number];
const USAGE = { prompt_tokens: 20, completion_tokens: 3, total_tokens: 23 };

function onAnswer(behave: (answer: Answer) => unknown): void {
  cluster.onAnswer = behave as (answer: Answer) => void;
}
