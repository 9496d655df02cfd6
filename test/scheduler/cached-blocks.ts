// Pools, tables and prefix cache put together as the scheduler does, for tests that look inside.

import { HashChain } from "../../scheduler/block-hash.ts";
import { BlockPool } from "../../scheduler/block-pool.ts";
import { BlockTable } from "../../scheduler/block-table.ts";
import { PrefixCache } from "../../scheduler/prefix-cache.ts";
import { SequenceBlocks } from "../../scheduler/sequence-blocks.ts";

export const FULL = Number.POSITIVE_INFINITY;

export class CachedBlocks {
  readonly pools: readonly BlockPool[];
  readonly cache: PrefixCache;
  readonly #windows: readonly number[];
  readonly #blockTokens: number;

  constructor(windows: readonly number[], numBlocks: readonly number[], blockTokens: number) {
    this.#windows = windows;
    this.#blockTokens = blockTokens;
    this.pools = numBlocks.map(
      (count, group) => new BlockPool(count, (block) => this.cache.evict(group, block)),
    );
    this.cache = new PrefixCache(this.pools, windows, blockTokens);
  }

  chain(ids: readonly number[], scope = ""): HashChain {
    return new HashChain(scope, ids, this.#blockTokens);
  }

  sequence(chain: HashChain): SequenceBlocks {
    const tables = this.pools.map(
      (pool, group) => new BlockTable(pool, this.#blockTokens, this.#windows[group]),
    );
    return new SequenceBlocks(tables, this.cache, chain);
  }

  /** A sequence that takes what is cached, computes the rest in one row, and publishes it. */
  run(ids: readonly number[], scope?: string): SequenceBlocks {
    const sequence = this.sequence(this.chain(ids, scope));
    const hit = sequence.lookup();
    sequence.adopt(hit);
    sequence.cover({ from: hit.numTokens, to: ids.length });
    sequence.publish(ids.length);
    return sequence;
  }

  numHit(ids: readonly number[], scope?: string): number {
    return this.cache.lookup(this.chain(ids, scope)).numTokens;
  }
}
