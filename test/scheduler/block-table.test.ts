import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { worstCaseBlocks } from "../../scheduler/admission/admission.ts";
import { BlockPool } from "../../scheduler/block-pool.ts";
import { BlockTable } from "../../scheduler/block-table.ts";

describe("block table", () => {
  test("grows by whole blocks, just as far as the row reaches", () => {
    const pool = new BlockPool(10);
    const table = new BlockTable(pool, 16);
    table.cover({ from: 0, to: 16 });
    expect(table.snapshot()).toEqual([1]);
    table.cover({ from: 16, to: 17 });
    expect(table.snapshot()).toEqual([1, 2]);
    table.cover({ from: 17, to: 64 });
    expect(table.snapshot()).toEqual([1, 2, 3, 4]);
    table.release();
    expect([pool.numFree, table.snapshot()]).toEqual([9, []]);
  });

  test("a window keeps the block of the oldest visible token, and not the one before", () => {
    const pool = new BlockPool(10);
    const table = new BlockTable(pool, 16, 10);
    table.cover({ from: 0, to: 24 });
    // The query at 24 sees 15 to 24, so block 0 still holds one visible token.
    table.cover({ from: 24, to: 25 });
    expect(table.snapshot()).toEqual([1, 2]);
    table.cover({ from: 25, to: 26 });
    expect(table.snapshot()).toEqual([0, 2]);
    expect(pool.numUsed).toBe(1);
  });

  test("a released table starts anew", () => {
    const pool = new BlockPool(10);
    const table = new BlockTable(pool, 16, 4);
    table.cover({ from: 0, to: 40 });
    table.cover({ from: 40, to: 41 });
    table.release();
    table.cover({ from: 0, to: 40 });
    expect([table.snapshot().every(Boolean), pool.numUsed]).toEqual([true, 3]);
    table.release();
    expect(pool.numUsed).toBe(0);
  });

  test("a snapshot stays as it was", () => {
    const table = new BlockTable(new BlockPool(10), 16, 4);
    table.cover({ from: 0, to: 16 });
    const before = table.snapshot();
    table.cover({ from: 16, to: 40 });
    table.cover({ from: 40, to: 41 });
    expect(before).toEqual([1]);
  });

  test("a table that begins with cached blocks gives back what the first row does not see", () => {
    const pool = new BlockPool(10);
    const before = new BlockTable(pool, 16, 20);
    before.cover({ from: 0, to: 48 });
    const table = new BlockTable(pool, 16, 20);
    // The query at 48 sees 29 to 48.
    table.adopt([0, 2, 3]);
    expect([1, 2, 3].map((block) => pool.numHolders(block))).toEqual([1, 2, 2]);
    table.cover({ from: 48, to: 49 });
    expect(table.snapshot()).toEqual([0, 2, 3, 4]);
    table.cover({ from: 52, to: 53 });
    expect(table.snapshot()).toEqual([0, 0, 3, 4]);
    expect(pool.numHolders(2)).toBe(1);
    before.release();
    table.release();
    expect(pool.numUsed).toBe(0);
  });

  test("blocks that others hold too, and cached blocks that are free, do not lengthen the reach", () => {
    const pool = new BlockPool(4);
    const [table, other] = [new BlockTable(pool, 16, 16), new BlockTable(pool, 16, 16)];
    table.cover({ from: 0, to: 32 });
    expect(table.reach(32)).toBe(64);
    other.adopt([1, 2]);
    expect(table.reach(32)).toBe(48);
    other.release();
    pool.cache(1);
    table.release();
    expect(table.reach(16, [1])).toBe(48);
    other.adopt([1]);
    expect(table.reach(16, [1])).toBe(48);
  });

  test("a fork shares full blocks and copies a partial one", () => {
    const pool = new BlockPool(10);
    const table = new BlockTable(pool, 16);
    table.cover({ from: 0, to: 40 });
    expect(table.fork(40)).toEqual([1, 2, 3]);
    // Whatever came behind.
    table.cover({ from: 40, to: 49 });
    expect(table.fork(40)).toEqual([1, 2, 3]);
    const fork = new BlockTable(pool, 16);
    fork.adopt([1, 2]);
    expect(fork.extend()).toBe(5);
    expect(fork.snapshot()).toEqual([1, 2, 5]);
    expect([1, 2, 3, 4, 5].map((block) => pool.numHolders(block))).toEqual([2, 2, 1, 1, 1]);
    table.release();
    fork.cover({ from: 40, to: 48 });
    expect(fork.fork(48)).toEqual([1, 2, 5]);
  });

  test("a fork takes what a query there sees, and there is none when that was given back", () => {
    const table = new BlockTable(new BlockPool(10), 16, 20);
    table.cover({ from: 0, to: 60 });
    // A query at 50 sees 31 to 50.
    expect(table.fork(50)).toEqual([0, 2, 3, 4]);
    table.cover({ from: 60, to: 61 });
    expect(table.snapshot()).toEqual([0, 0, 3, 4]);
    expect([table.fork(50), table.fork(51)]).toEqual([undefined, [0, 0, 3, 4]]);
  });

  test("visible tokens always have a block; held blocks never pass the admitted worst case", () => {
    const shape = fc.record({
      blockTokens: fc.constantFrom(16 as const, 32 as const),
      window: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
      numPromptTokens: fc.integer({ min: 1, max: 300 }),
      maxTokens: fc.integer({ min: 1, max: 100 }),
      maxChunk: fc.integer({ min: 1, max: 120 }),
      cuts: fc.infiniteStream(fc.integer({ min: 1, max: 120 })),
    });
    fc.assert(
      fc.property(shape, ({ blockTokens, window, numPromptTokens, maxTokens, maxChunk, cuts }) => {
        const kind = window === undefined ? "full" : "window";
        const worst = worstCaseBlocks(
          { id: 0, numPromptTokens, maxTokens },
          { kind, window, numBlocks: 0 },
          blockTokens,
          maxChunk,
        );
        const pool = new BlockPool(100);
        const table = new BlockTable(pool, blockTokens, window);
        for (let from = 0, to = 0; to < numPromptTokens + maxTokens - 1; from = to) {
          const left = Math.max(1, numPromptTokens - from);
          to = from + Math.min(left, maxChunk, cuts.next().value);
          table.cover({ from, to });
          const blocks = table.snapshot();
          const first = window === undefined ? 0 : Math.max(0, from - window + 1);
          for (let p = first; p < to; p++) assert(blocks[Math.floor(p / blockTokens)] > 0);
          for (let i = 0; (i + 1) * blockTokens <= first; i++) assert.equal(blocks[i], 0);
          assert.equal(blocks.length, Math.ceil(to / blockTokens));
          assert.equal(pool.numUsed, blocks.filter(Boolean).length);
          assert(pool.numUsed <= worst, `${pool.numUsed} blocks held, ${worst} admitted`);
        }
        table.release();
        assert.equal(pool.numUsed, 0);
      }),
    );
  });
});
