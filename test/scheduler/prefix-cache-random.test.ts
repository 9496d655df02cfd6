// Random operations on pools, tables and cache of three KV groups, compared after each one with the
// same by plain lists.

import assert from "node:assert/strict";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HashChain } from "../../scheduler/block-hash.ts";
import type { SequenceBlocks } from "../../scheduler/sequence-blocks.ts";
import { report, scale } from "../harness/soak.ts";
import { CachedBlocks, FULL } from "./cached-blocks.ts";
import { NaiveBlocks, type NaiveSequence } from "./naive-blocks.ts";

const BLOCK_TOKENS = 4;
const NUM_OPERATIONS = 250;
const MOST_TOKENS = 48;

const setup = fc.record({
  windows: fc.constantFrom([FULL, 6, 13], [13, FULL, 3], [3, 6, 13]),
  numBlocks: fc.array(fc.integer({ min: 5, max: 40 }), { minLength: 3, maxLength: 3 }),
});

const operation = fc.record({
  kind: fc.constantFrom(..."sssaaaarrpplfxx"),
  pick: fc.nat({ max: 1000 }),
  count: fc.nat({ max: 1000 }),
});
const script = fc.array(operation, { minLength: NUM_OPERATIONS, maxLength: NUM_OPERATIONS });

interface Pair {
  readonly real: SequenceBlocks;
  readonly naive: NaiveSequence;
}

class Comparison {
  readonly counts = { operations: 0, hits: 0, hitTokens: 0, evicted: 0, forks: 0, refused: 0 };
  readonly #real: CachedBlocks;
  readonly #naive: NaiveBlocks;
  readonly #pairs: Pair[] = [];

  constructor(windows: readonly number[], numBlocks: readonly number[]) {
    this.#real = new CachedBlocks(windows, numBlocks, BLOCK_TOKENS);
    this.#naive = new NaiveBlocks(windows, numBlocks, BLOCK_TOKENS);
  }

  apply(kind: string, pick: number, count: number): void {
    const pair = this.#pairs[pick % Math.max(1, this.#pairs.length)];
    if (kind === "s") this.#start(pick, count);
    else if (kind === "l") this.#lookup(pick, count);
    else if (pair === undefined) return;
    else if (kind === "a") this.#advance(pair, 1 + (count % 9));
    else if (kind === "r") pair.naive.ids.push(...this.#unread(pair).slice(0, 1 + (count % 5)));
    else if (kind === "p") this.#publish(pair);
    else if (kind === "f") this.#fork(pair, count);
    else this.#release(pair);
    this.counts.operations += 1;
    this.#check();
  }

  /** Give everything back and use every block for something else: nothing is left of the cache. */
  end(): void {
    while (this.#pairs.length > 0) this.#release(this.#pairs[0]);
    this.#check();
    for (const pool of this.#real.pools) while (pool.numFree > 0) pool.allocate();
    assert.equal(this.#real.cache.numPrefixes, 0);
    this.counts.evicted = this.#naive.numEvicted;
  }

  #start(pick: number, count: number): void {
    const naive = newSequence(pick, 1 + (count % (MOST_TOKENS - 1)));
    const real = this.#real.sequence(new HashChain(naive.scope, naive.ids, BLOCK_TOKENS));
    const hit = this.#lookup(pick, count);
    const to = Math.min(naive.ids.length, hit.numTokens + 1 + (pick % 20));
    const fits = real.reach(hit.numTokens, hit) >= to;
    assert.equal(fits, this.#naive.canStart(hit, to));
    // A start that fails has touched nothing: what was compared before is compared again.
    this.counts.refused += fits ? 0 : 1;
    if (!fits) return;
    real.adopt(hit);
    this.#naive.start(naive, hit);
    this.#pairs.push({ real, naive });
    real.cover({ from: hit.numTokens, to });
    this.#naive.advance(naive, to);
    if (count % 2 === 0) this.#publish({ real, naive });
    this.counts.hits += Math.sign(hit.numTokens);
    this.counts.hitTokens += hit.numTokens;
  }

  #lookup(pick: number, count: number) {
    const sequence = newSequence(pick, 1 + (count % (MOST_TOKENS - 1)));
    const { scope, ids } = sequence;
    const hit = this.#real.cache.lookup(new HashChain(scope, ids, BLOCK_TOKENS));
    const { numTokens, blocks } = hit;
    assert.equal(
      JSON.stringify({ numTokens, blocks }),
      JSON.stringify(this.#naive.lookup(sequence)),
    );
    return hit;
  }

  #advance({ real, naive }: Pair, count: number): void {
    const from = naive.numComputed;
    const to = Math.min(naive.allIds.length, from + count);
    if (to === from) return;
    const fits = real.reach(from) >= to;
    assert.equal(fits, this.#naive.canAdvance(naive, to));
    if (!fits) return;
    real.cover({ from, to });
    this.#naive.advance(naive, to);
    if (count % 2 === 0) this.#publish({ real, naive });
  }

  /** Ids of tokens that were sampled: the one after the last computed is. */
  #unread({ naive: { ids, allIds, numComputed } }: Pair): number[] {
    return allIds.slice(ids.length, Math.max(ids.length, numComputed + 1));
  }

  #publish({ real, naive }: Pair): void {
    real.publish(naive.numComputed);
    this.#naive.publish(naive);
  }

  #fork({ real, naive }: Pair, count: number): void {
    const { numComputed, ids, allIds } = naive;
    const at = Math.max(0, numComputed - (count % 7));
    const otherIds = newSequence(count, MOST_TOKENS).allIds;
    const fork: NaiveSequence = {
      ...naive,
      ids: ids.slice(0, at),
      allIds: [...allIds.slice(0, at), ...otherIds.slice(at)],
    };
    const hit = real.fork(at);
    assert.equal(hit !== undefined, this.#naive.canFork(naive, at));
    // A block for the copy, and none for a row yet.
    const forked = this.#real.sequence(new HashChain(fork.scope, fork.ids, BLOCK_TOKENS));
    if (hit === undefined || forked.reach(at, hit) < at) return;
    const copies = forked.adopt(hit);
    assert.deepEqual(copies, this.#naive.fork(naive, fork, at));
    this.#pairs.push({ real: forked, naive: fork });
    this.counts.forks += 1;
  }

  #release(pair: Pair): void {
    this.#pairs.splice(this.#pairs.indexOf(pair), 1);
    pair.real.release();
    this.#naive.release(pair.naive);
  }

  #check(): void {
    this.#naive.check();
    for (const { real, naive } of this.#pairs)
      assert.equal(JSON.stringify(real.snapshot()), JSON.stringify(naive.tables));
    this.#naive.pools.forEach(({ free, holders }, group) => {
      const pool = this.#real.pools[group];
      assert(pool.numFree === free.length && pool.numUsed === holders.size);
      for (let block = 1; block <= pool.capacity; block++)
        assert(pool.numHolders(block) === (holders.get(block) ?? 0), `holders of ${block}`);
    });
    assert.equal(this.#real.cache.numPrefixes, this.#naive.numPrefixes());
  }
}

/** Two scopes and two texts, whose endings part at one of four places, so that much is shared. */
function newSequence(pick: number, numKnown: number): NaiveSequence {
  const partsAt = [MOST_TOKENS, 9, 16, 30][Math.floor(pick / 30) % 4];
  const allIds = Array.from({ length: MOST_TOKENS }, (_, i) =>
    i < partsAt ? (i * 7 + (pick % 2)) % 5 : 5 + (pick % 7),
  );
  return {
    scope: pick % 5 === 0 ? "one" : "other",
    ids: allIds.slice(0, numKnown),
    allIds,
    numComputed: 0,
    numPublished: 0,
    holdsPrefix: false,
    tables: [],
  };
}

test("random operations agree with plain lists, and every invariant holds after each", () => {
  const total = { operations: 0, hits: 0, hitTokens: 0, evicted: 0, forks: 0, refused: 0 };
  const startMs = performance.now();
  fc.assert(
    fc.property(setup, script, ({ windows, numBlocks }, operations) => {
      const comparison = new Comparison(windows, numBlocks);
      for (const { kind, pick, count } of operations) comparison.apply(kind, pick, count);
      comparison.end();
      for (const name of Object.keys(total) as (keyof typeof total)[])
        total[name] += comparison.counts[name];
    }),
    { numRuns: Math.ceil(scale("blocks", 10_000, 1_000_000) / NUM_OPERATIONS) },
  );
  report("blocks", { ...total, ms: performance.now() - startMs });
  // Otherwise the generators have drifted to where nothing happens.
  for (const count of Object.values(total)) expect(count).toBeGreaterThan(total.operations / 100);
});
