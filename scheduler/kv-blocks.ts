/**
 * The block pools of all KV groups, side by side, and the prefix cache over them. Decides nothing;
 * what it is asked for exists.
 */
import { HashChain } from "./block-hash.ts";
import { BlockPool } from "./block-pool.ts";
import { BlockTable } from "./block-table.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { SequenceBlocks } from "./sequence-blocks.ts";
import type { KvGroup } from "./work-plan.ts";

export class KvBlocks {
  readonly groups: readonly KvGroup[];
  readonly blockTokens: number;
  readonly #pools: readonly BlockPool[];
  readonly #cache: PrefixCache;
  readonly #cachesPrefixes: boolean;

  constructor(groups: readonly KvGroup[], blockTokens: number, cachesPrefixes: boolean) {
    this.groups = groups;
    this.blockTokens = blockTokens;
    this.#cachesPrefixes = cachesPrefixes;
    this.#pools = groups.map(
      ({ numBlocks }, group) =>
        new BlockPool(numBlocks, (block) => this.#cache.evict(group, block)),
    );
    const windows = groups.map(({ window }) => window ?? Number.POSITIVE_INFINITY);
    this.#cache = new PrefixCache(this.#pools, windows, blockTokens);
  }

  /** Blocks that can be handed out, per group. */
  get capacity(): readonly number[] {
    return this.#pools.map((pool) => pool.capacity);
  }

  get free(): readonly number[] {
    return this.#pools.map((pool) => pool.numFree);
  }

  /** Share of the blocks that are held, per group, 0 to 1. */
  get usage(): readonly number[] {
    return this.#pools.map((pool) => pool.numUsed / pool.capacity);
  }

  /**
   * Those of a new sequence: none yet.
   * @param ids All that the host knows; may grow at the end.
   */
  newSequence(scope: string, ids: readonly number[]): SequenceBlocks {
    const tables = this.groups.map(
      ({ window }, group) => new BlockTable(this.#pools[group], this.blockTokens, window),
    );
    const chain = new HashChain(scope, this.#cachesPrefixes ? ids : [], this.blockTokens);
    return new SequenceBlocks(tables, this.#cache, chain);
  }

  /** The device that held all contents is gone. Nobody holds a block. */
  forgetContents(): void {
    for (const pool of this.#pools) pool.forgetContents();
  }
}
