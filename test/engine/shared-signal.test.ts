// One AbortSignal for many requests, as a page or a script passes it. Node warns on stderr of more
// than ten listeners on one signal, and takes them for a leak.

import { getEventListeners } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { nextTask } from "../../runtime/task.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

/** More than ten; with two others, no more than there are rows, so that all of them run. */
const NUM_REQUESTS = 12;
const request = { prompt: randomIds(3, 61), ignoreEos: true };
const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

let subject: Subject;
beforeAll(async () => {
  const folder = shallowFolder(demoFolder(), 1);
  subject = await opener({ platform: nodePlatform, folder, device: "reference" })();
});
afterAll(() => subject.door.close());

const warnings: Error[] = [];
const note = (warning: Error) => warnings.push(warning);
beforeEach(() => {
  process.on("warning", note);
});
afterEach(async () => {
  await nextTask();
  process.off("warning", note);
  expect(warnings).toEqual([]);
});

test("requests that end leave no listener, one after another and together", async () => {
  const { door } = subject;
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) await ask(door, { ...request, maxTokens: 1 }, { signal });
  expect(listeners(signal)).toBe(0);
  const answers = Array.from({ length: NUM_REQUESTS }, () =>
    ask(door, { ...request, maxTokens: 2 }, { signal }),
  );
  expect(listeners(signal)).toBe(1);
  await Promise.all(answers);
  expect(listeners(signal)).toBe(0);
});

test("an abort reaches all that still run, and no other", async () => {
  const { door } = subject;
  const [mine, others] = [new AbortController(), new AbortController()];
  const { signal } = mine;
  const kept = ask(door, { ...request, maxTokens: 30 }, { signal: others.signal });
  const aborted = Array.from({ length: NUM_REQUESTS }, () =>
    refused(ask(door, { ...request, maxTokens: 200 }, { signal }), "aborted", /enough/),
  );
  await ask(door, { ...request, maxTokens: 1 }, { signal });
  expect(listeners(signal)).toBe(1);
  mine.abort("enough");
  await Promise.all(aborted);
  expect(listeners(signal)).toBe(0);
  expect((await kept).ids).toHaveLength(30);
  await settled(subject);
});
