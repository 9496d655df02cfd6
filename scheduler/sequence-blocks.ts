/**
 * All blocks of one sequence: a table per KV group, and how much of it the prefix cache knows.
 * Takes and gives back; when, and for whom, others decide.
 */
import type { AlternatingTokens } from "./alternating-tokens.ts";
import type { HashChain } from "./block-hash.ts";
import { TRASH_BLOCK } from "./block-pool.ts";
import type { BlockTable } from "./block-table.ts";
import type { CachedPrefix, PrefixCache, PrefixHit } from "./prefix-cache.ts";
import type { BlockCopy, TokenRange } from "./work-plan.ts";

export class SequenceBlocks {
  /** By KV group; none where the sequence keeps nothing. */
  readonly #tables: readonly (BlockTable | undefined)[];
  readonly #cache: PrefixCache;
  readonly #chain: HashChain;
  /** Undefined where every token keeps the same. */
  readonly #alternating: AlternatingTokens | undefined;
  /** Ends with the last block that was published; held since the first was. */
  #prefix: CachedPrefix | undefined;
  #numPublished = 0;

  /** @param tables Empty ones, one per KV group that it keeps anything in. */
  constructor(
    tables: readonly (BlockTable | undefined)[],
    cache: PrefixCache,
    chain: HashChain,
    alternating?: AlternatingTokens,
  ) {
    this.#tables = tables;
    this.#cache = cache;
    this.#chain = chain;
    this.#alternating = alternating;
  }

  /** What the prefix cache would find them by; the ids may grow. */
  get identity(): { readonly scope: string; readonly ids: readonly number[] } {
    return this.#chain;
  }

  /** Of so many tokens, those in whole blocks. */
  numFullTokens(numTokens: number): number {
    return numTokens - (numTokens % this.#chain.blockTokens);
  }

  numHeld(group: number): number {
    return this.#tables[group]?.numHeld ?? 0;
  }

  /** What need not be computed, should it start now; changes nothing. */
  lookup(): PrefixHit {
    const isKept = (group: number) => this.#tables[group] !== undefined;
    return this.#cache.lookup(this.#chain, isKept);
  }

  /**
   * Begin with the hit of a lookup or of a fork since which nothing has changed.
   * @returns What to copy before any row of the plan runs.
   */
  adopt({ prefix, numPublished, blocks, tails }: PrefixHit): BlockCopy[] {
    if (prefix !== undefined) {
      this.#prefix = this.#cache.hold(this.#chain, prefix);
      this.#numPublished = numPublished;
    }
    const copies: BlockCopy[] = [];
    for (const [group, table] of this.#tables.entries()) {
      if (table === undefined) continue;
      table.adopt(blocks[group]);
      const from = tails?.[group];
      if (from !== undefined) copies.push({ group, from, to: table.extend() });
    }
    return copies;
  }

  /** End of the longest row from `from` on that there are blocks for, after taking the hit. */
  reach(from: number, hit?: PrefixHit): number {
    let reach = Number.POSITIVE_INFINITY;
    for (const [group, table] of this.#tables.entries()) {
      if (!table) continue;
      const places = table.reach(this.#place(group, from), hit?.blocks[group]);
      reach = Math.min(reach, this.#alternating?.lastToken(group, places) ?? places);
    }
    return reach;
  }

  /** Blocks for a row that computes `tokens`, and nothing earlier ever again. */
  cover(tokens: TokenRange): void {
    for (const [group, table] of this.#tables.entries())
      table?.cover({ from: this.#place(group, tokens.from), to: this.#place(group, tokens.to) });
  }

  /** By KV group, of a token; undefined where it is the token's number everywhere. */
  places(token: number): number[] | undefined {
    return this.#alternating && this.#tables.map((_, group) => this.#place(group, token));
  }

  #place(group: number, token: number): number {
    return this.#alternating?.place(group, token) ?? token;
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
      const blocks = this.#tables.map((table) => table?.blockAt(index) ?? TRASH_BLOCK);
      const longer = this.#cache.publish(this.#prefix, this.#chain, index, blocks);
      if (longer === undefined) return;
      this.#prefix = longer;
    }
  }

  /**
   * What a sequence may begin with that is this one up to `numTokens`, all of them computed by plans
   * that were made, and then goes its own way; changes nothing. Undefined when some group has given
   * back what a query at `numTokens` sees.
   */
  fork(numTokens: number): PrefixHit | undefined {
    const tables: number[][] = [];
    for (const table of this.#tables) {
      const blocks = table ? table.fork(numTokens) : [];
      if (blocks === undefined) return undefined;
      tables.push(blocks);
    }
    const numFull = Math.floor(numTokens / this.#chain.blockTokens);
    let prefix = this.#prefix;
    for (let i = this.#numPublished; i > numFull; i--) prefix = prefix?.parent;
    return {
      numTokens,
      prefix,
      numPublished: Math.min(this.#numPublished, numFull),
      blocks: tables.map((blocks) => blocks.slice(0, numFull)),
      tails: tables.map((blocks) => blocks.at(numFull)),
    };
  }

  /** One table per KV group. */
  snapshot(): number[][] {
    return this.#tables.map((table) => table?.snapshot() ?? []);
  }

  /** Give everything back. What is published is found until its blocks are handed out again. */
  release(): void {
    for (const table of this.#tables) table?.release();
    if (this.#prefix) this.#cache.drop(this.#prefix);
    this.#prefix = undefined;
    this.#numPublished = 0;
  }
}
