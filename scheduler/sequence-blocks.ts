/**
 * All blocks of one sequence: a table per KV group, and how much of it the prefix cache knows.
 * Takes and gives back; when, and for whom, others decide.
 */
import type { HashChain } from "./block-hash.ts";
import type { BlockTable } from "./block-table.ts";
import type { CachedPrefix, PrefixCache, PrefixHit } from "./prefix-cache.ts";
import type { BlockCopy, TokenRange } from "./work-plan.ts";

export class SequenceBlocks {
  readonly #tables: readonly BlockTable[];
  readonly #cache: PrefixCache;
  readonly #chain: HashChain;
  /** Ends with the last block that was published; held since the first was. */
  #prefix: CachedPrefix | undefined;
  #numPublished = 0;

  /** @param tables Empty ones, one per KV group. */
  constructor(tables: readonly BlockTable[], cache: PrefixCache, chain: HashChain) {
    this.#tables = tables;
    this.#cache = cache;
    this.#chain = chain;
  }

  /** What the prefix cache would find them by; the ids may grow. */
  get identity(): { readonly scope: string; readonly ids: readonly number[] } {
    return this.#chain;
  }

  numHeld(group: number): number {
    return this.#tables[group].numHeld;
  }

  /** What need not be computed, should it start now; changes nothing. */
  lookup(): PrefixHit {
    return this.#cache.lookup(this.#chain);
  }

  /** Begin with the hit of a lookup since which nothing has changed. */
  adopt({ numTokens, prefix, blocks }: PrefixHit): void {
    if (prefix === undefined) return;
    this.#prefix = this.#cache.hold(this.#chain, prefix);
    this.#numPublished = numTokens / this.#chain.blockTokens;
    for (const [group, table] of this.#tables.entries()) table.adopt(blocks[group]);
  }

  /** End of the longest row from `from` on that there are blocks for, after taking the hit. */
  reach(from: number, hit?: PrefixHit): number {
    let reach = Number.POSITIVE_INFINITY;
    for (let group = 0; group < this.#tables.length; group++)
      reach = Math.min(reach, this.#tables[group].reach(from, hit?.blocks[group]));
    return reach;
  }

  /** Blocks for a row that computes `tokens`, and nothing earlier ever again. */
  cover(tokens: TokenRange): void {
    for (const table of this.#tables) table.cover(tokens);
  }

  /**
   * Make full blocks known to whoever starts later. Planned is enough: later plans run later on the
   * GPU's queue. A block whose ids are not all read back has to wait for them.
   * @param numPlanned Tokens computed by plans that were made, the one being made not included.
   */
  publish(numPlanned: number): void {
    const { blockTokens, numBlocks } = this.#chain;
    const end = Math.min(numBlocks, Math.floor(numPlanned / blockTokens));
    for (; this.#numPublished < end; this.#numPublished++) {
      this.#prefix ??= this.#cache.hold(this.#chain);
      const index = this.#numPublished;
      const blocks = this.#tables.map((table) => table.blockAt(index));
      const longer = this.#cache.publish(this.#prefix, this.#chain, index, blocks);
      if (longer === undefined) return;
      this.#prefix = longer;
    }
  }

  /**
   * The blocks of a sequence that is this one up to `numTokens`, all of them computed, and then goes
   * its own way. The copies go before the rows of the next plan.
   * @param chain Begins with the same ids.
   * @returns Undefined, having changed nothing, when some group lacks a block for the copy.
   */
  fork(numTokens: number, chain: HashChain): SequenceFork | undefined {
    const isPartial = numTokens % chain.blockTokens > 0;
    if (isPartial && this.#tables.some(({ numFree }) => numFree === 0)) return undefined;
    const forks = this.#tables.map((table) => table.fork(numTokens));
    const tables = forks.map(({ table }) => table);
    const blocks = new SequenceBlocks(tables, this.#cache, chain);
    if (this.#prefix) blocks.#prefix = this.#cache.hold(chain, this.#prefix);
    blocks.#numPublished = this.#numPublished;
    const copies = forks.flatMap(({ copy }, group) => (copy ? [{ group, ...copy }] : []));
    return { blocks, copies };
  }

  /** One table per KV group. */
  snapshot(): number[][] {
    return this.#tables.map((table) => table.snapshot());
  }

  /** Give everything back. What is published is found until its blocks are handed out again. */
  release(): void {
    for (const table of this.#tables) table.release();
    if (this.#prefix) this.#cache.drop(this.#prefix);
    this.#prefix = undefined;
    this.#numPublished = 0;
  }
}

export interface SequenceFork {
  readonly blocks: SequenceBlocks;
  readonly copies: readonly BlockCopy[];
}
