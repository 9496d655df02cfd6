/**
 * The blocks of one KV group: who is free, who is held how often.
 * Knows no tokens and no sequences; what a block contains is the holder's business.
 */
import { assert } from "./assert.ts";

/** Never handed out: stands in tables where a window has passed, and takes writes of padding. */
export const TRASH_BLOCK = 0;

/**
 * Always: free + used = numBlocks − 1, and a block is in the free list exactly while nobody holds
 * it. Every operation is O(1).
 */
export class BlockPool {
  /** Blocks that can be handed out; the trash block is not one of them. */
  readonly capacity: number;
  readonly #refCount: Int32Array;
  // Intrusive free list, oldest first: blocks come back in the order they were freed.
  readonly #next: Int32Array;
  #oldest: number;
  #newest: number;
  #numFree: number;

  /** @param numBlocks At least 2, the trash block included. */
  constructor(numBlocks: number) {
    assert(numBlocks >= 2, `a pool of ${numBlocks} blocks`);
    this.capacity = numBlocks - 1;
    this.#refCount = new Int32Array(numBlocks);
    this.#next = Int32Array.from({ length: numBlocks }, (_, block) => (block + 1) % numBlocks);
    this.#oldest = 1;
    this.#newest = this.capacity;
    this.#numFree = this.capacity;
  }

  get numFree(): number {
    return this.#numFree;
  }

  get numUsed(): number {
    return this.capacity - this.#numFree;
  }

  /** The block freed longest ago, held once. Ask only while `numFree` is above 0. */
  allocate(): number {
    assert(this.#numFree > 0, `no free block of ${this.capacity}`);
    const block = this.#oldest;
    assert(this.#refCount[block] === 0, `free block ${block} is held`);
    this.#oldest = this.#next[block];
    this.#refCount[block] = 1;
    this.#numFree -= 1;
    return block;
  }

  /** One more holder of a block that somebody holds. */
  retain(block: number): void {
    assert(this.#refCount[block] > 0, `retain of block ${block}, which nobody holds`);
    this.#refCount[block] += 1;
  }

  /** One holder less; the last one frees the block. */
  release(block: number): void {
    assert(this.#refCount[block] > 0, `release of block ${block}, which nobody holds`);
    this.#refCount[block] -= 1;
    if (this.#refCount[block] > 0) return;
    if (this.#numFree === 0) this.#oldest = block;
    else this.#next[this.#newest] = block;
    this.#newest = block;
    this.#numFree += 1;
  }
}
