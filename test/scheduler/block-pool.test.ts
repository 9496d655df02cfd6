import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockPool } from "../../scheduler/block-pool.ts";

describe("block pool", () => {
  test("hands out every block but the trash block, once each", () => {
    const pool = new BlockPool(9);
    const blocks = Array.from({ length: pool.capacity }, () => pool.allocate());
    expect(blocks.toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([pool.numFree, pool.numUsed]).toEqual([0, 8]);
    expect(() => pool.allocate()).toThrow(/no free block/);
  });

  test("blocks come back in the order they were freed", () => {
    const pool = new BlockPool(4);
    const [a, b, c] = [pool.allocate(), pool.allocate(), pool.allocate()];
    for (const block of [b, c, a]) pool.release(block);
    expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual([b, c, a]);
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
    expect(() => pool.release(0)).toThrow(/nobody holds/);
  });

  test("any sequence of operations agrees with a plain model", () => {
    const operation = fc.record({
      kind: fc.constantFrom("allocate", "retain", "release"),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.array(operation), (numBlocks, operations) => {
        const pool = new BlockPool(numBlocks);
        const free = Array.from({ length: numBlocks - 1 }, (_, i) => i + 1);
        const holders: number[] = [];
        for (const { kind, pick } of operations) {
          const held = holders[pick % Math.max(1, holders.length)];
          if (kind === "allocate" && free.length > 0) {
            const block = pool.allocate();
            assert.equal(block, free.shift());
            holders.push(block);
          } else if (kind === "retain" && held !== undefined) {
            pool.retain(held);
            holders.push(held);
          } else if (kind === "release" && held !== undefined) {
            pool.release(held);
            holders.splice(holders.indexOf(held), 1);
            if (!holders.includes(held)) free.push(held);
          }
          assert.equal(pool.numFree, free.length);
          assert.equal(pool.numFree + pool.numUsed, pool.capacity);
        }
      }),
    );
  });
});
