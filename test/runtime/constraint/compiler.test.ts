// The worker of constraints: what it is asked is answered, whatever becomes of it.

import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { Allowed, TokenConstraint } from "../../../runtime/constraint/constraint.ts";
import {
  ConstraintCompiler,
  type ConstraintCompilerOptions,
} from "../../../runtime/constraint/constraint-compiler.ts";
import { inThreadPort } from "../../../runtime/constraint/in-thread-port.ts";
import { nodePort, type Port } from "../../../runtime/remote/port.ts";
import { buildIfStale } from "../../../scripts/build.mjs";
import { demoTokenizer } from "./vocabularies.ts";

const tokenizer = demoTokenizer();
const { vocabSize } = tokenizer;
const thread = new URL("../../../dist/constraint-thread.js", import.meta.url);
const compilers: ConstraintCompiler[] = [];
afterEach(() => {
  for (const compiler of compilers.splice(0)) compiler.close();
});
beforeAll(async () => {
  await buildIfStale();
}, 120_000);

function open(options: Partial<ConstraintCompilerOptions> = {}): ConstraintCompiler {
  const compiler = new ConstraintCompiler({ tokenizer, vocabSize, dial: inThreadPort, ...options });
  compilers.push(compiler);
  return compiler;
}

const ids = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
const texts = ({ masks }: Allowed, index = 0) =>
  Array.from({ length: vocabSize }, (_, id) => id)
    .filter((id) => (masks[index]![id >> 5] >>> (id & 31)) & 1)
    .map((id) => tokenizer.token(id)!);
const END = tokenizer.eosTokenIds.map((id) => tokenizer.token(id)!);

test("says what may come next, where it may end, and where it must", async () => {
  const constraint = await open().compile({ type: "choice", choices: ["ab", "abc", "x"] });
  const first = await constraint.advance([], 10);
  expect(texts(first)).toEqual(expect.arrayContaining(["a", "ab", "x"]));
  expect(texts(first).every((text) => ["a", "ab", "abc", "x"].includes(text))).toBe(true);
  expect(first).toMatchObject({ mayEnd: false, mustEnd: false, forced: [] });
  const second = await constraint.advance(ids("ab"), 9);
  expect(texts(second).sort()).toEqual(["c", ...END].sort());
  expect(second).toMatchObject({ mayEnd: true, mustEnd: false, forced: [] });
  const third = await constraint.advance(ids("c"), 8);
  expect(texts(third)).toEqual(END);
  expect(third).toMatchObject({ mayEnd: true, mustEnd: true });
  const last = await constraint.advance([tokenizer.eosTokenIds[0]], 7);
  expect(last).toMatchObject({ mayEnd: true, mustEnd: true });
});

test("tokens that a mask did not allow are refused, and the constraint goes on", async () => {
  const constraint = await open().compile({ type: "regex", pattern: "a+" });
  await expect(constraint.advance(ids("b"), 10)).rejects.toMatchObject({ code: "bad_request" });
  expect(texts(await constraint.advance(ids("a"), 10))).toContain("a");
});

test("a mask for each draft that fits, and none of them is taken", async () => {
  const constraint = await open().compile({ type: "regex", pattern: "[a-c]{3}" });
  const [a, b, x] = ["a", "b", "x"].map((text) => ids(text)[0]);
  const drafted = await constraint.advance([], 10, [a, b, x, a]);
  expect(drafted.masks).toHaveLength(3);
  expect(texts(drafted, 2).sort()).toEqual(["a", "b", "c"]);
  expect(texts(await constraint.advance([], 10))).toEqual(texts(drafted));
  // Up to where nothing is left to choose: behind the third letter there is only an end.
  expect((await constraint.advance([a], 2, [b, a, b])).masks).toHaveLength(2);
});

test("text that must come next is given as the tokens that the tokenizer makes of it", async () => {
  const schema = {
    type: "object",
    properties: { temperature: { const: "warm" } },
    required: ["temperature"],
  };
  const constraint = await open().compile({ type: "json_schema", schema });
  const { forced } = await constraint.advance(ids('{"'), 50);
  const text = tokenizer.decode(forced);
  expect('temperature":').toContain(text);
  expect(text.length).toBeGreaterThan(8);
  const next = await constraint.advance(forced, 50 - forced.length);
  expect(next.masks[0]!.some((bits) => bits !== 0)).toBe(true);
  // Where tokens are scarce nothing is forced, since fewer than the tokenizer's may do.
  expect((await constraint.advance([], 5)).forced).toEqual([]);
});

test("near the limit only what can still be ended is allowed", async () => {
  const constraint = await open().compile({ type: "json_object" });
  expect(texts(await constraint.advance([], 2))).toEqual(expect.not.arrayContaining(['{"']));
  expect(texts(await constraint.advance(ids("{"), 1))).toEqual(["}"]);
});

/** Ends the threads that it started. */
function threads(script: URL | string = thread) {
  const started: Worker[] = [];
  const dial = (): Port => {
    started.push(new Worker(script, { eval: typeof script === "string" }));
    return nodePort(started.at(-1)!);
  };
  return { started, dial };
}

test("a thread that is ended is replaced, and constraints go on where they were", async () => {
  const { started, dial } = threads();
  const compiler = open({ dial });
  const twins: TokenConstraint[] = [];
  const own = open();
  const spec = { type: "regex", pattern: "(ab|cd){3,9}e" } as const;
  const lost = [await compiler.compile(spec), await compiler.compile(spec)];
  for (const _ of lost) twins.push(await own.compile(spec));
  for (const said of ["", "a", "b", "c", "d", "a", "b", "e"]) {
    if (said === "c" || said === "e") await started.at(-1)!.terminate();
    const [own0, own1, twin] = await Promise.all(
      [...lost, twins[0]].map((constraint) => constraint.advance(ids(said), 20)),
    );
    expect(own0).toEqual(twin);
    expect(own1).toEqual(twin);
  }
  expect(started).toHaveLength(3);
  const dying = lost[0].advance([], 12);
  void started.at(-1)!.terminate();
  await expect(dying).resolves.toMatchObject({ mustEnd: true });
});

test("what takes too long is refused, and others go on", async () => {
  // Answers everything but constraints of one kind, on which it is busy for ever.
  const script = `
    const { parentPort, Worker } = require("node:worker_threads");
    const inner = new Worker(new URL(${JSON.stringify(thread.href)}));
    inner.on("message", (message) => parentPort.postMessage(message));
    parentPort.on("message", (message) => {
      while (message.spec?.pattern === "slow");
      inner.postMessage(message);
    });
    parentPort.on("close", () => inner.terminate());`;
  const { started, dial } = threads(script);
  const compiler = open({ dial, timeLimitMs: 1_500 });
  const live = await compiler.compile({ type: "regex", pattern: "a{5}" });
  await live.advance(ids("a"), 10);
  const slow = compiler.compile({ type: "regex", pattern: "slow" });
  const meanwhile = live.advance(ids("a"), 9);
  await expect(slow).rejects.toMatchObject({
    code: "bad_request",
    message: expect.stringContaining("1500 ms"),
  });
  expect(texts(await meanwhile)).toContain("a");
  expect(started).toHaveLength(2);
  expect(await live.advance(ids("aaa"), 7)).toMatchObject({ mustEnd: true });
});

test("a thread that never starts is an error, not a hang", async () => {
  const { dial } = threads("throw new Error('no room')");
  await expect(open({ dial }).compile({ type: "json_object" })).rejects.toMatchObject({
    code: "worker_failed",
    message: expect.stringContaining("no room"),
  });
});

test("whole texts are checked by a validator that is not ours", async () => {
  const schema = { type: "object", properties: { a: { type: "integer", multipleOf: 2 } } };
  const [inThread, ownThread] = [open(), open({ dial: threads().dial, timeLimitMs: 2_000 })];
  for (const compiler of [inThread, ownThread]) {
    expect(await compiler.validate(schema, '{"a":2}')).toBeUndefined();
    expect(await compiler.validate(schema, '{"a":3}')).toMatch(/\/a must be multiple of 2/);
    expect(await compiler.validate(schema, '{"a":')).toMatch(/no JSON/);
    expect(
      await compiler.validate({ items: [{ type: "null" }], additionalItems: false }, "[null]"),
    ).toBeUndefined();
    expect(await compiler.validate({ prefixItems: [{ type: "null" }] }, "[1]")).toMatch(
      /\/0 must be null/,
    );
    expect(await compiler.validate({ pattern: "^\\-$" }, '"-"')).toBeUndefined();
  }
  // A regular expression that would take for ever.
  const slow = ownThread.validate({ pattern: "^(a+)+$" }, JSON.stringify(`${"a".repeat(40)}!`));
  expect(await slow).toBeUndefined();
  expect(await ownThread.validate(schema, '{"a":3}')).toMatch(/multiple/);
});

test("aborted and closed", async () => {
  const compiler = open();
  const aborted = AbortSignal.abort(new Error("enough"));
  await expect(compiler.compile({ type: "json_object" }, aborted)).rejects.toMatchObject({
    code: "aborted",
  });
  const constraint = await compiler.compile({ type: "json_object" });
  compiler.close();
  await expect(async () => constraint.advance([], 1)).rejects.toThrow();
  await expect(compiler.compile({ type: "json_object" })).rejects.toMatchObject({
    code: "engine_closed",
  });
});
