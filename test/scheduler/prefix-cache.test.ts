import { afterEach, describe, expect, test, vi } from "vitest";
import { HashChain, scopeKey } from "../../scheduler/block-hash.ts";
import { seededRandom } from "../../scheduler/random.ts";
import { report, scale } from "../harness/soak.ts";
import { CachedBlocks, FULL } from "./cached-blocks.ts";

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

describe("what is found", () => {
  test("whole blocks, and never the last token", () => {
    const blocks = new CachedBlocks([FULL], [20], 16);
    const ids = range(48);
    blocks.run(ids);
    expect(blocks.numHit(ids)).toBe(32);
    expect(blocks.numHit([...ids, 7])).toBe(48);
    expect(blocks.numHit(range(40))).toBe(32);
    expect(blocks.numHit(range(17))).toBe(16);
    expect(blocks.numHit(range(16))).toBe(0);
    expect(blocks.numHit([99, ...range(47, 1)])).toBe(0);
    expect(blocks.numHit([...range(20), 99, ...range(27, 21)])).toBe(16);
  });

  test("a sequence goes on behind its hit, in blocks of its own", () => {
    const blocks = new CachedBlocks([FULL], [20], 16);
    const first = blocks.run(range(40));
    const second = blocks.run([...range(32), 500, 501]);
    expect(first.snapshot()).toEqual([[1, 2, 3]]);
    expect(second.snapshot()).toEqual([[1, 2, 4]]);
    expect([1, 2, 3, 4].map((block) => blocks.pools[0].numHolders(block))).toEqual([2, 2, 1, 1]);
    first.release();
    expect(blocks.pools[0].numUsed).toBe(3);
    second.release();
    expect(blocks.numHit(range(40))).toBe(32);
  });

  test("nothing of another scope", () => {
    const blocks = new CachedBlocks([FULL], [20], 16);
    const scopes = [{}, { salt: "a" }, { adapter: 1 }, { layerPlan: "a" }, { precision: "a" }];
    const keys = [...scopes, { salt: "a", adapter: 1 }].map(scopeKey);
    expect(new Set(keys).size).toBe(keys.length);
    blocks.run(range(40), keys[0]);
    expect(keys.map((key) => blocks.numHit(range(40), key))).toEqual([32, 0, 0, 0, 0, 0]);
  });

  test("only ids that the host knows", () => {
    const blocks = new CachedBlocks([FULL], [20], 16);
    const ids = range(30);
    const sequence = blocks.sequence(blocks.chain(ids));
    sequence.cover({ from: 0, to: 64 });
    sequence.publish(64);
    expect(blocks.numHit(range(64))).toBe(16);
    ids.push(30, 31, 32);
    sequence.publish(64);
    expect(blocks.numHit(range(64))).toBe(32);
  });

  test("where a window has passed, only what a query still sees has to be there", () => {
    const blocks = new CachedBlocks([FULL, 20], [20, 6], 16);
    const sequence = blocks.sequence(blocks.chain(range(80)));
    for (let from = 0; from < 80; from += 16) {
      sequence.cover({ from, to: from + 16 });
      sequence.publish(from + 16);
    }
    // The query at 64 sees 45 to 64. Of the window's five blocks the first two were given up.
    expect(sequence.snapshot()).toEqual([
      [1, 2, 3, 4, 5],
      [0, 0, 3, 4, 5],
    ]);
    sequence.release();
    const { pools } = blocks;
    expect(blocks.cache.lookup(blocks.chain(range(70)))).toMatchObject({
      numTokens: 64,
      blocks: [
        [1, 2, 3, 4],
        [0, 0, 3, 4],
      ],
    });
    // Given up first, evicted first: what a query at 16 or 32 sees goes, what one at 80 sees stays.
    expect([pools[1].allocate(), pools[1].allocate()]).toEqual([1, 2]);
    expect([20, 40, 60, 70, 81].map((end) => blocks.numHit(range(end)))).toEqual([0, 0, 0, 64, 80]);
    expect(pools[1].allocate()).toBe(5);
    expect(blocks.numHit(range(81))).toBe(64);
  });

  test("the shortest of what the groups have", () => {
    const blocks = new CachedBlocks([FULL, FULL], [20, 20], 16);
    blocks.run(range(64)).release();
    for (let i = 0; i < 17; i++) blocks.pools[1].allocate();
    expect(blocks.numHit(range(64))).toBe(32);
    expect(
      blocks.cache.lookup(blocks.chain(range(64))).blocks.map((table) => table.length),
    ).toEqual([2, 2]);
  });
});

describe("eviction", () => {
  test("is lazy, least recently used first, and takes an ending before its beginning", () => {
    const blocks = new CachedBlocks([FULL], [8], 16);
    blocks.run(range(48)).release();
    blocks.run(range(48, 1000)).release();
    expect([blocks.numHit(range(49)), blocks.numHit(range(49, 1000))]).toEqual([48, 48]);
    blocks.run(range(33)).release();
    // Its new third block, not full, then the old one, then the other sequence from its end.
    const hits = range(4).map(() => {
      blocks.pools[0].allocate();
      return [blocks.numHit(range(49)), blocks.numHit(range(49, 1000))];
    });
    expect(hits).toEqual([
      [48, 48],
      [32, 48],
      [32, 32],
      [32, 16],
    ]);
  });

  test("a hit on a block that is next to be evicted saves it", () => {
    const blocks = new CachedBlocks([FULL], [4], 16);
    blocks.run(range(48)).release();
    const [pool] = blocks.pools;
    // Third, second, first: the second is next when the third is gone.
    pool.allocate();
    const hit = blocks.run([...range(16), 99]);
    expect(hit.snapshot()).toEqual([[1, 2]]);
    expect(pool.numFree).toBe(0);
    hit.release();
    expect(blocks.numHit(range(48))).toBe(16);
    pool.allocate();
    pool.allocate();
    expect(blocks.numHit(range(48))).toBe(0);
  });

  test("a start that there are too few blocks for leaves its hit untouched", () => {
    const blocks = new CachedBlocks([FULL], [6], 16);
    blocks.run(range(48)).release();
    const [pool] = blocks.pools;
    const other = blocks.sequence(blocks.chain([]));
    other.cover({ from: 0, to: 32 });
    const sequence = blocks.sequence(blocks.chain(range(80)));
    const hit = sequence.lookup();
    // Three free blocks are the hit itself: nothing is left for a fourth.
    expect([hit.numTokens, pool.numFree, sequence.reach(48, hit)]).toEqual([48, 3, 48]);
    expect([blocks.numHit(range(80)), sequence.snapshot()]).toEqual([48, [[]]]);
    other.release();
    expect(sequence.reach(48, hit)).toBe(80);
    sequence.adopt(hit);
    sequence.cover({ from: 48, to: 80 });
    expect(pool.numFree).toBe(0);
  });

  test("equal blocks that were computed at the same time are both kept, and either is found", () => {
    const blocks = new CachedBlocks([FULL], [7], 16);
    const [one, two] = [0, 1].map(() => blocks.sequence(blocks.chain(range(48))));
    for (const sequence of [one, two]) sequence.cover({ from: 0, to: 48 });
    for (const sequence of [one, two]) sequence.publish(48);
    expect([one.snapshot(), two.snapshot()]).toEqual([[[1, 2, 3]], [[4, 5, 6]]]);
    one.release();
    // Those that are held: they take nothing from the free blocks.
    expect(blocks.cache.lookup(blocks.chain(range(48))).blocks).toEqual([[4, 5]]);
    for (let i = 0; i < 3; i++) blocks.pools[0].allocate();
    expect(blocks.numHit(range(48))).toBe(32);
  });

  test("with the last block goes all memory of it", () => {
    const blocks = new CachedBlocks([FULL, 20], [9, 9], 16);
    for (let i = 0; i < 40; i++) blocks.run(range(70, 1000 * i), `scope ${i}`).release();
    expect(blocks.cache.numPrefixes).toBeGreaterThan(5);
    for (const pool of blocks.pools) while (pool.numFree > 0) pool.allocate();
    expect(blocks.cache.numPrefixes).toBe(0);
  });
});

describe("hashes", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("depend on every id, its place, and the scope", () => {
    const seen = new Set<number>();
    const add = (scope: string, ids: readonly number[]) => {
      const chain = new HashChain(scope, ids, 16);
      for (let block = 0; block < chain.numBlocks; block++) seen.add(chain.hash(block));
    };
    const zeros = range(64).map(() => 0);
    add("", zeros);
    for (let at = 0; at < 64; at++)
      for (let bit = 0; bit < 18; bit++) add("", zeros.with(at, 2 ** bit));
    add("a", zeros);
    add("aa", zeros);
    // Of the changed ones those blocks are new that do not end before the change.
    expect(seen.size).toBe(4 + 18 * 16 * (4 + 3 + 2 + 1) + 8);
    for (const hash of seen) expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
  });

  test("equal blocks behind different beginnings of one hash are not taken for each other", () => {
    // As if the chain had forgotten all but the last block.
    const hash = vi.spyOn(HashChain.prototype, "hash");
    hash.mockImplementation(function (this: HashChain, block) {
      return this.ids[16 * block];
    });
    const blocks = new CachedBlocks([FULL], [20], 16);
    const [a, b, end] = [range(16, 100), range(16, 200), range(17, 300)];
    blocks.run([...a, ...end]);
    blocks.run(b);
    expect(blocks.numHit([...a, ...end])).toBe(32);
    expect(blocks.numHit([...b, ...end])).toBe(16);
    blocks.run([...b, ...end]);
    expect(blocks.numHit([...b, ...end])).toBe(16);
  });

  test("with three of them in all, hits are fewer and never wrong", () => {
    vi.spyOn(HashChain.prototype, "hash").mockImplementation((block) => block % 3);
    const random = seededRandom(1);
    const below = (count: number) => Math.floor(random() * count);
    const blocks = new CachedBlocks([FULL, 24], [40, 30], 16);
    const contents = blocks.pools.map(({ capacity }) => new Array<string>(capacity + 1));
    const running: ReturnType<typeof blocks.run>[] = [];
    let numHits = 0;
    for (let i = 0; i < 2000; i++) {
      const ids = range(17 + below(50)).map((at) => (at < 16 ? 0 : below(1.2)));
      const text = (index: number) => String(ids.slice(0, (index + 1) * 16));
      blocks.cache.lookup(blocks.chain(ids)).blocks.forEach((table, group) => {
        for (const [index, block] of table.entries())
          if (block !== 0) expect(contents[group][block]).toBe(text(index));
        numHits += table.length;
      });
      while (running.length > 3) running.splice(below(running.length), 1)[0].release();
      const sequence = blocks.run(ids);
      running.push(sequence);
      for (const [group, table] of sequence.snapshot().entries())
        for (const [index, block] of table.entries()) contents[group][block] = text(index);
    }
    expect(numHits).toBeGreaterThan(100);
  });

  test("a prompt of 8,192 tokens in three groups is found within a few milliseconds, however busy the machine", () => {
    const blocks = new CachedBlocks([FULL, FULL, 1024], [300, 300, 300], 32);
    const ids = range(8193);
    blocks.run(ids).release();
    const numLookups = scale("blocks", 50, 1000);
    const us = (lookup: () => void) => {
      const times = range(numLookups).map(() => {
        const startMs = performance.now();
        lookup();
        return (performance.now() - startMs) * 1000;
      });
      return times.toSorted((a, b) => a - b)[numLookups / 2];
    };
    const chain = blocks.chain(ids);
    const figures = {
      firstUs: us(() => expect(blocks.numHit(ids)).toBe(8192)),
      againUs: us(() => blocks.cache.lookup(chain)),
    };
    report("blocks", { lookup8192: figures });
    expect(figures.firstUs).toBeLessThan(5000);
  });
});
