// Embeddings: the same bits in any company, cut in any way, and OpenAI's shape. That they are those of
// transformers is demo.all.test.ts's.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { EmbeddingRequest } from "../../index.ts";
import { POOLINGS } from "../../runtime/pooling.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";
import { throughChannel } from "./through-channel.ts";

const openEngine = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder(), 2),
  device: "reference",
});

let whole: Subject;
let cut: Subject;
beforeAll(async () => {
  whole = await openEngine({ maxTokensPerPlan: 256 });
  // Chunks, and now and then everything again from the start; what goes to the host stays there.
  cut = await openEngine({
    ...{ maxTokensPerPlan: 32, maxRows: 4, forcePreemptionEvery: 3, hostKvBytes: 1e6 },
  });
});
afterAll(async () => {
  for (const { door } of [whole, cut]) await door.close();
});

const texts = [3, 40, 65, 129, 1, 97].map((count, i) => randomIds(count, 20 + i));
const create = ({ engine }: Subject, request: EmbeddingRequest) =>
  engine.embeddings.create(request);
const vectorsOf = async (subject: Subject, request: EmbeddingRequest) =>
  (await create(subject, request)).data.map(({ embedding }) => embedding);

test.each(POOLINGS)(
  "%s: alone, together, in chunks and taken back, the bits are the same",
  async (pooling) => {
    const alone: (readonly number[])[] = [];
    for (const input of texts) alone.push((await vectorsOf(whole, { input, pooling }))[0]);
    expect(await vectorsOf(whole, { input: texts, pooling })).toEqual(alone);
    expect(await vectorsOf(cut, { input: texts, pooling })).toEqual(alone);
    await settled(whole);
    await settled(cut);
  },
);

test("beside answers, both are as they are alone", async () => {
  const request = { prompt: randomIds(50, 5), maxTokens: 12, ignoreEos: true };
  const alone = await ask(cut.door, request);
  const [embedded] = await vectorsOf(cut, { input: texts[1] });
  const [answers, vectors] = await Promise.all([
    Promise.all([ask(cut.door, request), ask(cut.door, request)]),
    vectorsOf(cut, { input: [texts[1], texts[3], texts[1]] }),
  ]);
  for (const { ids } of answers) expect(ids).toEqual(alone.ids);
  expect(vectors[0]).toEqual(embedded);
  expect(vectors[2]).toEqual(embedded);
});

test("OpenAI's shape: by index, of length 1, cut, as numbers or as base64", async () => {
  const input = ["A fox.", "A bear that sleeps.", "A fox."];
  const response = await create(whole, { input });
  expect(response).toMatchObject({ object: "list", model: (await modelsOf(whole))[0] });
  expect(response.data.map(({ object, index }) => [object, index])).toEqual([
    ["embedding", 0],
    ["embedding", 1],
    ["embedding", 2],
  ]);
  const [fox, bear, again] = response.data.map(({ embedding }) => embedding);
  expect(again).toEqual(fox);
  expect(bear).not.toEqual(fox);
  expect(Math.hypot(...fox)).toBeCloseTo(1, 6);
  expect(response.usage.prompt_tokens).toBe(response.usage.total_tokens);
  const [short] = await vectorsOf(whole, { input: input[0], dimensions: 16 });
  expect(short).toHaveLength(16);
  expect(Math.hypot(...short)).toBeCloseTo(1, 6);
  expect(short[3] / short[0]).toBeCloseTo(fox[3] / fox[0], 5);
  const [raw] = await vectorsOf(whole, { input: input[0], normalize: false });
  expect(Math.hypot(...raw)).not.toBeCloseTo(1, 2);
  const [coded] = await vectorsOf(whole, { input: input[0], encoding_format: "base64" });
  const bytes = Buffer.from(coded as unknown as string, "base64");
  expect([...new Float32Array(bytes.buffer, bytes.byteOffset, fox.length)]).toEqual(fox);
});

test("through a port", async () => {
  const other = await openEngine({});
  const door = (await throughChannel(other.engine)) as unknown as Subject["engine"];
  const response = await door.embeddings.create({ input: texts });
  expect(response).toEqual(await create(whole, { input: texts }));
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = refused(door.embeddings.create({ input: texts }, { signal }), "aborted");
  controller.abort();
  await aborted;
  await settled(other);
  await door.close();
});

test("an abort, or one text that is too long, frees the others", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = refused(cut.engine.embeddings.create({ input: texts }, { signal }), "aborted");
  await expect.poll(() => cut.engine.loop.usage.sequences, { interval: 1 }).toBeGreaterThan(0);
  controller.abort();
  await aborted;
  await settled(cut);
  const long = randomIds(whole.engine.plan.maxContext + 1, 3);
  await refused(create(whole, { input: [texts[0], long] }), "request_too_long");
  await settled(whole);
});

test.each([
  ["input", undefined],
  ["input", ""],
  ["input", []],
  ["input", ["a", ""]],
  ["input", [[]]],
  ["dimensions", 0],
  ["dimensions", 129],
  ["encoding_format", "int8"],
  ["pooling", "max"],
  ["normalize", "yes"],
  ["priority", "now"],
])("%s %j is refused", async (name, value) => {
  const request = { input: "Hello", [name]: value } as EmbeddingRequest;
  const { param } = await refused(create(whole, request), "bad_request");
  expect(param).toBe(name);
});

test("more texts than there may be are refused", async () => {
  const input = Array.from({ length: 2049 }, () => "a");
  await refused(create(whole, { input }), "bad_request", /^input is .* 2048/);
});

const modelsOf = async ({ engine }: Subject) =>
  (await engine.models.list()).data.map(({ id }) => id);
