/**
 * The blocks of one sequence in one KV group, in token order.
 * Grows at the tail as rows are planned; a window group gives back what no query sees any more.
 * Only the tail is ever written; the blocks before it may be in other tables too.
 */
import { assert } from "./assert.ts";
import { type BlockPool, TRASH_BLOCK } from "./block-pool.ts";
import type { TokenRange } from "./work-plan.ts";

export class BlockTable {
  readonly #pool: BlockPool;
  readonly #blockTokens: number;
  readonly #window: number;
  readonly #blocks: number[] = [];
  #numPassed = 0;

  /** @param window Tokens a query sees, itself included; infinite in a `full` group. */
  constructor(pool: BlockPool, blockTokens: number, window = Number.POSITIVE_INFINITY) {
    this.#pool = pool;
    this.#blockTokens = blockTokens;
    this.#window = window;
  }

  get numHeld(): number {
    return this.#blocks.length - this.#numPassed;
  }

  /**
   * Make the table fit a row that computes `tokens`, and nothing earlier ever again.
   *
   * A block given up here may serve another row of the same plan: this row's first query does not
   * see it, and plans that did run earlier on the GPU's queue.
   */
  cover({ from, to }: TokenRange): void {
    const numPassed = this.#numBlocksBefore(from);
    for (; this.#numPassed < numPassed; this.#numPassed++) {
      // A sequence that begins behind its hit never had the blocks in between.
      if (this.#numPassed < this.#blocks.length) this.#pool.release(this.#blocks[this.#numPassed]);
      this.#blocks[this.#numPassed] = TRASH_BLOCK;
    }
    while (this.#blocks.length * this.#blockTokens < to) this.#blocks.push(this.#pool.allocate());
  }

  /**
   * End of the longest row from `from` on that `cover` could make the table fit now: free blocks
   * and those that the row gives up serve it.
   * @param cached What an empty table would take first; those of it that nobody holds are free yet.
   */
  reach(from: number, cached: readonly number[] = []): number {
    let numBlocks = this.#blocks.length + cached.length + this.#pool.numFree;
    const numPassed = this.#numBlocksBefore(from);
    numBlocks += Math.max(0, numPassed - this.#blocks.length - cached.length);
    for (const [i, block] of cached.entries())
      if (i >= numPassed && this.#isHeldBy(block, 0)) numBlocks -= 1;
    for (let i = this.#numPassed; i < Math.min(numPassed, this.#blocks.length); i++)
      if (this.#isHeldBy(this.#blocks[i], 1)) numBlocks += 1;
    return numBlocks * this.#blockTokens;
  }

  /** Begin with blocks that the prefix cache has; the first row starts right behind them. */
  adopt(cached: readonly number[]): void {
    assert(this.#blocks.length === 0, "a table that has blocks takes those of a prefix");
    for (const block of cached) {
      if (block === TRASH_BLOCK) this.#numPassed += 1;
      else this.#pool.retain(block);
      this.#blocks.push(block);
    }
  }

  /**
   * What another table may begin with that goes its own way from `numTokens` on, all of them computed:
   * full blocks to share, and then one to copy if that is partial. Undefined when a block was given
   * back that a query at `numTokens` sees.
   */
  fork(numTokens: number): number[] | undefined {
    const numPassed = this.#numBlocksBefore(numTokens);
    const numBlocks = Math.ceil(numTokens / this.#blockTokens);
    if (Math.min(this.#numPassed, numBlocks) > numPassed) return undefined;
    assert(
      this.#blocks.length >= numBlocks,
      `fork at ${numTokens} tokens of a table of ${this.#blocks.length} blocks`,
    );
    return this.#blocks
      .slice(0, numBlocks)
      .map((block, i) => (i < numPassed ? TRASH_BLOCK : block));
  }

  /** One more block behind those adopted, for a copy. One is free. */
  extend(): number {
    const block = this.#pool.allocate();
    this.#blocks.push(block);
    return block;
  }

  /** Of tokens [index·blockTokens, (index+1)·blockTokens); 0 where the window has passed. */
  blockAt(index: number): number {
    return this.#blocks[index];
  }

  /** Entry i holds tokens [i·blockTokens, (i+1)·blockTokens); 0 where the window has passed. */
  snapshot(): number[] {
    return this.#blocks.slice();
  }

  /** Give everything back, tail first: a prefix outlives its continuation in the free list. */
  release(): void {
    while (this.#blocks.length > this.#numPassed) this.#pool.release(this.#blocks.pop()!);
    this.#blocks.length = 0;
    this.#numPassed = 0;
  }

  #isHeldBy(block: number, numHolders: number): boolean {
    return block !== TRASH_BLOCK && this.#pool.numHolders(block) === numHolders;
  }

  #numBlocksBefore(from: number): number {
    return numBlocksBefore(from, this.#window, this.#blockTokens);
  }
}

/** Blocks that a query at `from` sees nothing of. */
export function numBlocksBefore(from: number, window: number, blockTokens: number): number {
  return Math.floor(Math.max(0, from - window + 1) / blockTokens);
}
