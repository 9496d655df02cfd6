import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockPool } from "../../scheduler/block-pool.ts";
import { report, scale } from "../harness/soak.ts";

describe("block pool", () => {
  test("hands out every block but the trash block, once each", () => {
    const pool = new BlockPool(9);
    const blocks = Array.from({ length: pool.capacity }, () => pool.allocate());
    expect(blocks.toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([pool.numFree, pool.numUsed]).toEqual([0, 8]);
    expect(() => pool.allocate()).toThrow(/no free block/);
  });

  test("blocks without content go first, the last freed first; cached ones in the order freed", () => {
    const evicted: number[] = [];
    const pool = new BlockPool(6, (block) => evicted.push(block));
    const blocks = Array.from({ length: 5 }, () => pool.allocate());
    const [a, b, c, d, e] = blocks;
    for (const block of [b, c]) pool.cache(block);
    for (const block of [c, d, b, a, e]) pool.release(block);
    const order = blocks.map(() => pool.allocate());
    expect(order).toEqual([e, a, d, c, b]);
    expect(evicted).toEqual([c, b]);
    for (const block of order) pool.release(block);
    // What was evicted is not cached any more.
    expect(blocks.map(() => pool.allocate())).toEqual(order.toReversed());
    expect(evicted).toEqual([c, b]);
  });

  test("a cached block is taken out of the middle of the free list, and is the newest afterwards", () => {
    const pool = new BlockPool(4);
    const blocks = [pool.allocate(), pool.allocate(), pool.allocate()];
    const [a, b, c] = blocks;
    for (const block of blocks) {
      pool.cache(block);
      pool.release(block);
    }
    pool.retain(b);
    expect([pool.numFree, pool.numHolders(b)]).toEqual([2, 1]);
    pool.retain(b);
    pool.release(b);
    expect(pool.numFree).toBe(2);
    pool.release(b);
    expect(blocks.map(() => pool.allocate())).toEqual([a, c, b]);
  });

  test("a block is free only when its last holder lets go", () => {
    const pool = new BlockPool(2);
    const block = pool.allocate();
    pool.retain(block);
    pool.release(block);
    expect(pool.numFree).toBe(0);
    pool.release(block);
    expect(pool.numFree).toBe(1);
  });

  test("a double free, or a hold on what nobody holds, is refused as our bug", () => {
    const pool = new BlockPool(3);
    const block = pool.allocate();
    pool.release(block);
    expect(() => pool.release(block)).toThrow(/nobody holds/);
    expect(() => pool.retain(block)).toThrow(/nobody holds/);
    expect(() => pool.cache(block)).toThrow(/nobody holds/);
    expect(() => pool.release(0)).toThrow(/nobody holds/);
  });

  test("any sequence of operations agrees with a plain model", () => {
    const operation = fc.record({
      kind: fc.constantFrom("allocate", "cache", "retain", "revive", "release", "release"),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.array(operation), (numBlocks, operations) => {
        const evicted: number[] = [];
        const pool = new BlockPool(numBlocks, (block) => evicted.push(block));
        const free = Array.from({ length: numBlocks - 1 }, (_, i) => i + 1);
        const cached = new Set<number>();
        const holders: number[] = [];
        for (const { kind, pick } of operations) {
          const held = holders[pick % Math.max(1, holders.length)];
          const kept = free.filter((block) => cached.has(block));
          if (kind === "allocate" && free.length > 0) {
            const block = pool.allocate();
            assert.equal(block, free.shift());
            assert.deepEqual(evicted.splice(0), cached.delete(block) ? [block] : []);
            holders.push(block);
          } else if (kind === "revive" && kept.length > 0) {
            const block = kept[pick % kept.length];
            pool.retain(block);
            free.splice(free.indexOf(block), 1);
            holders.push(block);
          } else if (kind === "cache" && held !== undefined) {
            pool.cache(held);
            cached.add(held);
          } else if (kind === "retain" && held !== undefined) {
            pool.retain(held);
            holders.push(held);
          } else if (kind === "release" && held !== undefined) {
            pool.release(held);
            holders.splice(holders.indexOf(held), 1);
            if (holders.includes(held)) continue;
            if (cached.has(held)) free.push(held);
            else free.unshift(held);
          }
          assert.equal(pool.numFree, free.length);
          assert.equal(pool.numFree + pool.numUsed, pool.capacity);
          for (let block = 1; block < numBlocks; block++)
            assert.equal(pool.numHolders(block), holders.filter((b) => b === block).length);
        }
      }),
    );
  });

  test("an operation takes as long among 100,000 blocks as among 1,000", () => {
    const few = nsPerOperation(1_000);
    const many = nsPerOperation(100_000);
    report("blocks", { poolNsPerOperation: { blocks1e3: few, blocks1e5: many } });
    // A search of the list would take a hundred times as long; caches account for a little.
    expect(many).toBeLessThan(20 * few);
  });
});

/** Of allocate, release and taking out of the middle, each in an order far from the list's. */
function nsPerOperation(numBlocks: number): number {
  const pool = new BlockPool(numBlocks + 1);
  const scattered = Array.from({ length: numBlocks }, (_, i) => 1 + ((i * 7919) % numBlocks));
  const rounds = scale("blocks", 200_000, 2_000_000) / numBlocks;
  let bestMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 3; attempt++) {
    const startMs = performance.now();
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < numBlocks; i++) pool.allocate();
      for (const block of scattered) pool.cache(block);
      for (const block of scattered) pool.release(block);
      for (let block = 1; block <= numBlocks; block++) pool.retain(block);
      for (const block of scattered) pool.release(block);
    }
    bestMs = Math.min(bestMs, performance.now() - startMs);
  }
  return (bestMs * 1e6) / (rounds * numBlocks * 5);
}
