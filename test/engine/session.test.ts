// A session that holds what it computed while others use the whole cache.

import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, randomIds, refused } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

let subject: Subject;
beforeAll(async () => {
  const folder = shallowFolder(demoFolder(), 1);
  const open = opener({ platform: nodePlatform, folder, device: "reference" });
  const { engine, door } = await open();
  const { plan } = engine;
  await door.close();
  // 8 blocks of 32 tokens, and the trash block.
  const memoryBudgetBytes =
    plan.weightBytes + plan.activationBytes + 9 * plan.kv.groups[0].blockBytes;
  subject = await open({ memoryBudgetBytes });
}, 60_000);
afterAll(() => subject?.door.close());

const answer = { maxTokens: 2, ignoreEos: true };
/** Uses every block. */
const flood = (seed: number) => ask(subject.door, { ...answer, prompt: randomIds(250, seed) });

/** Where the request began to compute. */
async function begunAt(prompt: readonly number[], session: string): Promise<number> {
  const from = subject.steps.length;
  await ask(subject.door, { ...answer, prompt, session });
  const rows = subject.steps.slice(from).flatMap(({ plan }) => plan.rows);
  return Math.min(...rows.map(({ tokens }) => tokens.from));
}

test("a held conversation goes on where it was, one that is not begins again", async () => {
  const [kept, left] = [subject.engine.session(), subject.engine.session()];
  const [first, second] = [randomIds(70, 1), randomIds(70, 2)];
  await begunAt(first, kept.id);
  await kept.hold(60_000);
  await begunAt(second, left.id);
  await ask(subject.door, { ...answer, prompt: randomIds(150, 3) });
  await ask(subject.door, { ...answer, prompt: randomIds(150, 4) });
  expect(await begunAt([...first, 9, 10], kept.id)).toBe(64);
  expect(await begunAt([...second, 9, 10], left.id)).toBe(0);
  await kept.release();
});

test("a request that needs all memory gets it", async () => {
  const session = subject.engine.session();
  await begunAt(randomIds(70, 5), session.id);
  await session.hold(60_000);
  const { ids } = await flood(6);
  expect(ids).toHaveLength(2);
});

test("an impossible time, or a session that is not a text, is refused", async () => {
  const session = subject.engine.session();
  await refused((async () => session.hold(-1))(), "bad_request", /above 0/);
  const request = { ...answer, prompt: "Hello", session: 7 as unknown as string };
  await refused(ask(subject.door, request), "bad_request", /session/);
});
