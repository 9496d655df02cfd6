/**
 * The block pools of all KV groups, side by side, and the prefix cache over them. Decides nothing;
 * what it is asked for exists.
 */
import type { AlternatingTokens } from "./alternating-tokens.ts";
import { HashChain } from "./block-hash.ts";
import { BlockPool } from "./block-pool.ts";
import { BlockTable } from "./block-table.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { SequenceBlocks } from "./sequence-blocks.ts";
import type { KvGroup, LayerPlan } from "./work-plan.ts";

export class KvBlocks {
  readonly groups: readonly KvGroup[];
  readonly blockTokens: number;
  /** Blocks that can be handed out, per group. */
  capacity: readonly number[];
  readonly #pools: readonly BlockPool[];
  readonly #cache: PrefixCache;
  readonly #cachesPrefixes: boolean;
  readonly #keeps: readonly boolean[];

  /** @param keeps By group: whether sequences keep anything there that do not say. Default all do. */
  constructor(
    groups: readonly KvGroup[],
    blockTokens: number,
    cachesPrefixes: boolean,
    keeps: readonly boolean[] = groups.map(() => true),
  ) {
    this.groups = groups;
    this.blockTokens = blockTokens;
    this.#cachesPrefixes = cachesPrefixes;
    this.#keeps = keeps;
    this.#pools = groups.map(
      ({ numBlocks }, group) =>
        new BlockPool(numBlocks, (block) => this.#cache.evict(group, block)),
    );
    this.capacity = this.#pools.map((pool) => pool.capacity);
    const windows = groups.map(({ window }) => window ?? Number.POSITIVE_INFINITY);
    this.#cache = new PrefixCache(this.#pools, windows, blockTokens);
  }

  get free(): readonly number[] {
    return this.#pools.map((pool) => pool.numFree);
  }

  /** Share of the blocks that are held, per group, 0 to 1. */
  get usage(): readonly number[] {
    return this.#pools.map((pool) => pool.numUsed / pool.capacity);
  }

  /** What each block is, per KV group; see `BlockPool.snapshot`. */
  snapshot(): ReturnType<BlockPool["snapshot"]>[] {
    return this.#pools.map((pool) => pool.snapshot());
  }

  /**
   * Those of a new sequence: none yet.
   * @param ids All that the host knows; may grow at the end.
   * @param keeps By group: whether it keeps anything there.
   */
  newSequence(
    scope: string,
    ids: readonly number[],
    keeps = this.#keeps,
    alternating?: AlternatingTokens,
  ): SequenceBlocks {
    const tables = this.groups.map(({ window }, group) =>
      keeps[group] ? new BlockTable(this.#pools[group], this.blockTokens, window) : undefined,
    );
    // What is computed by turns is nobody else's: of such a sequence the prompt alone is shared.
    const shared = alternating ? ids.slice(0, alternating.numPromptTokens) : ids;
    const chain = new HashChain(scope, this.#cachesPrefixes ? shared : [], this.blockTokens);
    return new SequenceBlocks(tables, this.#cache, chain, alternating);
  }

  /** Whether sequences of a plan keep anything in the group. */
  keeps(group: number, layerPlan: LayerPlan | undefined): boolean {
    return (layerPlan?.keeps ?? this.#keeps)[group];
  }

  /**
   * The device that held all contents is gone. Nobody holds a block.
   * @param numBlocks By group, where the next device has room for fewer.
   */
  forgetContents(numBlocks?: readonly number[]): void {
    for (const [group, pool] of this.#pools.entries()) pool.forgetContents(numBlocks?.[group]);
    this.capacity = this.#pools.map((pool) => pool.capacity);
  }
}
