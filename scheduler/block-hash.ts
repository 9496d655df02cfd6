/**
 * Hashes of token blocks, each chained to the one before: equal hashes stand for equal beginnings of
 * two sequences. 64 bits in two lanes, fast and not cryptographic; whoever finds an entry by its
 * hash compares the ids.
 */

/**
 * All that decides, beside the ids, what a token's keys and values are, and who may share them.
 * Sequences that differ in any of it share nothing.
 */
export interface PrefixScope {
  /** `LayerPlan.hash`. */
  readonly layerPlan?: string;
  readonly adapter?: number;
  /** Of weights and KV cache. */
  readonly precision?: string;
  /** Chosen by the caller, e.g. one per user: who shares a cache can time what others asked. */
  readonly salt?: string;
}

/** One string per scope, unlike that of any other. */
export function scopeKey({ layerPlan, adapter, precision, salt }: PrefixScope): string {
  return JSON.stringify([layerPlan, adapter, precision, salt]);
}

/** The hashes of a growing list of ids, block by block, computed when first asked for. */
export class HashChain {
  readonly scope: string;
  /** May grow, and must not change otherwise. */
  readonly ids: readonly number[];
  readonly blockTokens: number;
  readonly #hashes: number[] = [];
  #low = 0x243f6a88;
  #high = 0x85a308d3 | 0;

  constructor(scope: string, ids: readonly number[], blockTokens: number) {
    this.scope = scope;
    this.ids = ids;
    this.blockTokens = blockTokens;
    for (let i = 0; i < scope.length; i++) this.#mix(scope.charCodeAt(i));
  }

  /** Blocks whose ids are all known. */
  get numBlocks(): number {
    return Math.floor(this.ids.length / this.blockTokens);
  }

  /** Of the first `block` + 1 blocks, below 2^53: as many of the 64 bits as a number holds. */
  hash(block: number): number {
    while (this.#hashes.length <= block) {
      const from = this.#hashes.length * this.blockTokens;
      for (let i = from; i < from + this.blockTokens; i++) this.#mix(this.ids[i]);
      this.#hashes.push((this.#high >>> 11) * 2 ** 32 + (this.#low >>> 0));
    }
    return this.#hashes[block];
  }

  /** Each lane is multiplied by an odd number and shifted onto itself: no bit of the past is lost. */
  #mix(value: number): void {
    const low = Math.imul(this.#low ^ value, 0x9e3779b1);
    const high = Math.imul(this.#high ^ value, 0x85ebca77) + low;
    this.#low = low ^ (low >>> 15);
    this.#high = high ^ (high >>> 13);
  }
}
