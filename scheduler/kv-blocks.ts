/** The block pools of all KV groups, side by side. Decides nothing; what it is asked for exists. */
import { BlockPool } from "./block-pool.ts";
import { BlockTable } from "./block-table.ts";
import type { KvGroup } from "./work-plan.ts";

export class KvBlocks {
  readonly groups: readonly KvGroup[];
  readonly blockTokens: number;
  readonly #pools: readonly BlockPool[];

  constructor(groups: readonly KvGroup[], blockTokens: number) {
    this.groups = groups;
    this.blockTokens = blockTokens;
    this.#pools = groups.map((group) => new BlockPool(group.numBlocks));
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

  /** Empty tables of a new sequence, one per group. */
  newTables(): BlockTable[] {
    return this.groups.map(
      ({ window }, group) => new BlockTable(this.#pools[group], this.blockTokens, window),
    );
  }
}
