// The map of KV blocks is what the tables say: each block free, kept, held by one or shared.

import { expect, test } from "vitest";
import type { KvGroupMap } from "../../scheduler/index.ts";
import { NEVER } from "./plans.ts";
import { Serving } from "./serving.ts";

const TEXT = Array.from({ length: 100 }, (_, i) => (i * 389) % 1009);
const BLOCKS = 12;

/** One letter per block: `.` free, `c` free and kept, else its owner, and how often it is held. */
const spell = ({ holders, owners, cached }: KvGroupMap): string[] =>
  holders.map((count, i) => {
    if (count === 0) return cached[i] ? "c" : ".";
    return `${owners[i]}×${count}`;
  });

const counted = (map: KvGroupMap): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const block of spell(map)) counts[block] = (counts[block] ?? 0) + 1;
  return counts;
};

test("blocks are free, kept, one request's or shared", () => {
  const serving = new Serving({
    numLayers: 2,
    kvGroups: [{ kind: "full", numBlocks: BLOCKS + 1 }],
    blockTokens: 16,
    prefixCache: true,
  });
  const map = () => serving.scheduler.kvMap().groups[0];
  expect(counted(map())).toEqual({ ".": BLOCKS });
  const ask = (id: number) =>
    serving.add({ id, promptTokens: TEXT.slice(0, 40), maxTokens: 8, stopEvery: NEVER });
  ask(1);
  serving.schedule();
  expect(counted(map())).toEqual({ "1×1": 3, ".": 9 });
  ask(2);
  serving.schedule();
  // Two full blocks of the prompt are shared, and each goes on in a block of its own.
  expect(counted(map())).toEqual({ "1×2": 2, "1×1": 1, "2×1": 1, ".": 8 });
  serving.abort(1);
  expect(counted(map())).toEqual({ "2×1": 3, ".": 9 });
  serving.abort(2);
  expect(counted(map())).toEqual({ c: 2, ".": 10 });
  expect(serving.scheduler.kvMap().blockTokens).toBe(16);
});
