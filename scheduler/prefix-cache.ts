/**
 * Which blocks hold the keys and values of which beginnings of sequences, so that whoever begins
 * alike need not compute them again. Owns contents, the pools own blocks: a cached block that nobody
 * holds is found here until its pool hands it out. Full blocks only, and each is written but once.
 *
 * A hash only finds; an entry counts when its ids and all before it are the ones asked for. So two
 * beginnings of one hash cost a hit, and never give a wrong one.
 */
import { assert } from "./assert.ts";
import type { HashChain } from "./block-hash.ts";
import { type BlockPool, TRASH_BLOCK } from "./block-pool.ts";
import { numBlocksBefore } from "./block-table.ts";

/**
 * A beginning of sequences: the parent's, and one block of ids more. It exists once, and as long as
 * a block, a longer prefix or a sequence that may become longer needs it.
 */
export interface CachedPrefix {
  /** None at the root of a scope, which has no ids. */
  readonly parent: CachedPrefix | undefined;
  readonly ids: readonly number[];
  /** A root's is its scope. */
  readonly key: number | string;
  /** The blocks of its last ids, per KV group; several when they were computed at the same time. */
  readonly blocks: readonly number[][];
  numUsers: number;
}

/** What a sequence begins with and need not compute. */
export interface PrefixHit {
  /** A whole number of blocks unless there are tails, and at least one token less than there are. */
  readonly numTokens: number;
  readonly prefix: CachedPrefix | undefined;
  /** Blocks of ids that `prefix` is long; fewer than there are where the cache does not know them. */
  readonly numPublished: number;
  /** One table per KV group; 0 where a query at `numTokens` sees nothing any more. */
  readonly blocks: readonly (readonly number[])[];
  /** Only of a fork: the block behind those, to be copied, per KV group that it keeps anything in. */
  readonly tails?: readonly (number | undefined)[];
}

export class PrefixCache {
  readonly #pools: readonly BlockPool[];
  readonly #windows: readonly number[];
  readonly #blockTokens: number;
  readonly #prefixes = new Map<number | string, CachedPrefix>();
  /** By KV group and block. */
  readonly #contents: (CachedPrefix | undefined)[][];

  /** @param windows Tokens that a query sees, per KV group; infinite in a `full` one. */
  constructor(pools: readonly BlockPool[], windows: readonly number[], blockTokens: number) {
    this.#pools = pools;
    this.#windows = windows;
    this.#blockTokens = blockTokens;
    this.#contents = pools.map(({ capacity }) => new Array(capacity + 1).fill(undefined));
  }

  /** Beginnings that are known, the empty one of each scope included. */
  get numPrefixes(): number {
    return this.#prefixes.size;
  }

  /**
   * The longest beginning of `ids` that every group still has; changes nothing.
   * @param isKept Whether the sequence keeps anything in a group; default in all.
   */
  lookup(chain: HashChain, isKept: (group: number) => boolean = () => true): PrefixHit {
    // One token stays to be computed: the next is sampled from its logits.
    const maxBlocks = Math.floor((chain.ids.length - 1) / this.#blockTokens);
    const path: CachedPrefix[] = [];
    const numPresent = this.#windows.map(() => 0);
    let numBlocks = 0;
    let prefix = this.#prefixes.get(chain.scope);
    while (prefix !== undefined && path.length < maxBlocks) {
      prefix = this.#find(prefix, chain, path.length);
      if (prefix === undefined) break;
      path.push(prefix);
      let isHit = true;
      for (let group = 0; group < numPresent.length; group++) {
        numPresent[group] = prefix.blocks[group].length > 0 ? numPresent[group] + 1 : 0;
        const numSeen = path.length - this.#numPassed(group, path.length);
        isHit &&= numPresent[group] >= numSeen || !isKept(group);
      }
      if (isHit) numBlocks = path.length;
    }
    return {
      numTokens: numBlocks * this.#blockTokens,
      prefix: path[numBlocks - 1],
      numPublished: numBlocks,
      blocks: this.#pools.map((_, group) => {
        if (!isKept(group)) return [];
        const numPassed = this.#numPassed(group, numBlocks);
        return path
          .slice(0, numBlocks)
          .map(({ blocks }, i) =>
            i < numPassed ? TRASH_BLOCK : this.#cheapest(group, blocks[group]),
          );
      }),
    };
  }

  /** The prefix that a sequence begins with, held for it. */
  hold({ scope }: HashChain, prefix = this.#prefixes.get(scope)): CachedPrefix {
    const held = prefix ?? this.#add(undefined, [], scope);
    held.numUsers += 1;
    return held;
  }

  /** A sequence goes no further than this prefix, which it held. */
  drop(prefix: CachedPrefix): void {
    let unused: CachedPrefix | undefined = prefix;
    while (unused !== undefined && --unused.numUsers === 0) {
      this.#prefixes.delete(unused.key);
      unused = unused.parent;
    }
  }

  /**
   * Makes a sequence's next block known: it is full, and a plan that was made computes it.
   * @param parent Held by the sequence, which holds the result instead.
   * @param blocks One per KV group, held by the sequence; 0 where it has none any more.
   * @returns The longer prefix; none while another has its hash, and nothing has changed.
   */
  publish(
    parent: CachedPrefix,
    chain: HashChain,
    index: number,
    blocks: readonly number[],
  ): CachedPrefix | undefined {
    const key = chain.hash(index);
    let prefix = this.#find(parent, chain, index);
    if (prefix === undefined) {
      if (this.#prefixes.has(key)) return undefined;
      const from = index * this.#blockTokens;
      prefix = this.#add(parent, chain.ids.slice(from, from + this.#blockTokens), key);
    }
    prefix.numUsers += 1;
    this.drop(parent);
    for (const [group, block] of blocks.entries())
      if (block !== TRASH_BLOCK) this.#fill(prefix, group, block);
    return prefix;
  }

  /** The block is about to be handed out for other tokens. */
  evict(group: number, block: number): void {
    const prefix = this.#contents[group][block];
    assert(prefix !== undefined, `block ${block} of KV group ${group} is cached without content`);
    this.#contents[group][block] = undefined;
    const blocks = prefix.blocks[group];
    blocks.splice(blocks.indexOf(block), 1);
    this.drop(prefix);
  }

  #find(parent: CachedPrefix, chain: HashChain, index: number): CachedPrefix | undefined {
    const found = this.#prefixes.get(chain.hash(index));
    if (found?.parent !== parent) return undefined;
    const from = index * this.#blockTokens;
    for (let i = 0; i < this.#blockTokens; i++)
      if (found.ids[i] !== chain.ids[from + i]) return undefined;
    return found;
  }

  #add(parent: CachedPrefix | undefined, ids: readonly number[], key: number | string) {
    const blocks = this.#pools.map((): number[] => []);
    const prefix: CachedPrefix = { parent, ids, key, blocks, numUsers: 0 };
    if (parent !== undefined) parent.numUsers += 1;
    this.#prefixes.set(key, prefix);
    return prefix;
  }

  #fill(prefix: CachedPrefix, group: number, block: number): void {
    const known = this.#contents[group][block];
    // Hit, or shared by a fork that published it first.
    if (known === prefix) return;
    assert(known === undefined, `block ${block} of KV group ${group} has two contents`);
    this.#contents[group][block] = prefix;
    prefix.blocks[group].push(block);
    prefix.numUsers += 1;
    this.#pools[group].cache(block);
  }

  /** Of equal blocks one that somebody holds, since it takes none from the free ones. */
  #cheapest(group: number, blocks: readonly number[]): number {
    return blocks.find((block) => this.#pools[group].numHolders(block) > 0) ?? blocks[0];
  }

  #numPassed(group: number, numBlocks: number): number {
    const blockTokens = this.#blockTokens;
    return numBlocksBefore(numBlocks * blockTokens, this.#windows[group], blockTokens);
  }
}
