/**
 * The blocks of one KV group: who is free, who is held how often, and in which order the free ones
 * are handed out. Knows no tokens and no sequences; that a block's content is worth keeping, and
 * what it is, is the prefix cache's business.
 */
import { assert } from "./assert.ts";

/** Never handed out: stands in tables where a window has passed, and takes writes of padding. */
export const TRASH_BLOCK = 0;

/** Where the free list begins and ends; the trash block is never in it, so its links serve. */
const ENDS = TRASH_BLOCK;

/**
 * Always: free + used = numBlocks − 1, and a block is in the free list exactly while nobody holds
 * it. Every operation is O(1), taking a block out of the middle of the free list included.
 *
 * A cached block keeps its content while it is free, until it is handed out again: eviction is lazy
 * and least recently used first. Blocks without such content are handed out before all of them.
 */
export class BlockPool {
  /** Blocks that can be handed out; the trash block is not one of them. */
  capacity: number;
  readonly #onEvict: (block: number) => void;
  readonly #refCount: Int32Array;
  readonly #isCached: Uint8Array;
  // Intrusive free list, a ring through `ENDS`: `next` of it is handed out first.
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #numFree: number;

  /**
   * @param numBlocks At least 2, the trash block included.
   * @param onEvict Called when a cached block is about to be handed out: its content is lost.
   */
  constructor(numBlocks: number, onEvict: (block: number) => void = () => {}) {
    assert(numBlocks >= 2, `a pool of ${numBlocks} blocks`);
    this.capacity = numBlocks - 1;
    this.#onEvict = onEvict;
    this.#refCount = new Int32Array(numBlocks);
    this.#isCached = new Uint8Array(numBlocks);
    this.#next = Int32Array.from({ length: numBlocks }, (_, i) => (i + 1) % numBlocks);
    this.#previous = Int32Array.from({ length: numBlocks }, (_, i) => (i || numBlocks) - 1);
    this.#numFree = this.capacity;
  }

  get numFree(): number {
    return this.#numFree;
  }

  get numUsed(): number {
    return this.capacity - this.#numFree;
  }

  numHolders(block: number): number {
    return this.#refCount[block];
  }

  /** The first of the free list, held once. Ask only while `numFree` is above 0. */
  allocate(): number {
    assert(this.#numFree > 0, `no free block of ${this.capacity}`);
    const block = this.#next[ENDS];
    if (this.#isCached[block] === 1) {
      this.#isCached[block] = 0;
      this.#onEvict(block);
    }
    this.#takeOut(block);
    return block;
  }

  /** From now on the content is kept for as long as memory allows. Somebody holds the block. */
  cache(block: number): void {
    assert(this.#refCount[block] > 0, `block ${block} is cached, which nobody holds`);
    this.#isCached[block] = 1;
  }

  /** One more holder of a block that somebody holds, or whose content was kept. */
  retain(block: number): void {
    if (this.#refCount[block] > 0) this.#refCount[block] += 1;
    else {
      assert(this.#isCached[block] === 1, `retain of block ${block}, which nobody holds`);
      this.#takeOut(block);
    }
  }

  /** One holder less; the last one frees the block. */
  release(block: number): void {
    assert(this.#refCount[block] > 0, `release of block ${block}, which nobody holds`);
    this.#refCount[block] -= 1;
    if (this.#refCount[block] > 0) return;
    if (this.#isCached[block] === 1) this.#insertAfter(this.#previous[ENDS], block);
    else this.#insertAfter(ENDS, block);
  }

  /**
   * No content is worth anything any more. Nobody holds a block.
   * @param numBlocks From now on, no more than there were; the trash block included.
   */
  forgetContents(numBlocks = this.capacity + 1): void {
    assert(this.numUsed === 0, `${this.numUsed} blocks are held while all contents are forgotten`);
    assert(numBlocks >= 2 && numBlocks <= this.capacity + 1, `a pool of ${numBlocks} blocks`);
    for (let block = 1; block <= this.capacity; block++) {
      if (this.#isCached[block] === 0) continue;
      this.#isCached[block] = 0;
      this.#onEvict(block);
    }
    for (let block = this.capacity; block >= numBlocks; block--) this.#retire(block);
  }

  /** It is free, and stays out of the list. */
  #retire(block: number): void {
    this.#takeOut(block);
    this.#refCount[block] = 0;
    this.capacity -= 1;
  }

  /** Of each block but the trash block: how often it is held, and whether its content is kept. */
  snapshot(): { holders: number[]; cached: boolean[] } {
    const holders = [...this.#refCount.subarray(1)];
    return { holders, cached: Array.from(this.#isCached.subarray(1), (flag) => flag === 1) };
  }

  #takeOut(block: number): void {
    assert(this.#refCount[block] === 0, `free block ${block} is held`);
    this.#refCount[block] = 1;
    const next = this.#next[block];
    const previous = this.#previous[block];
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#numFree -= 1;
  }

  #insertAfter(previous: number, block: number): void {
    const next = this.#next[previous];
    this.#next[previous] = block;
    this.#previous[block] = previous;
    this.#next[block] = next;
    this.#previous[next] = block;
    this.#numFree += 1;
  }
}
