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
      this.#pool.release(this.#blocks[this.#numPassed]);
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
    for (const block of cached) if (this.#isHeldBy(block, 0)) numBlocks -= 1;
    const numPassed = this.#numBlocksBefore(from);
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
   * The table of a sequence that goes its own way from `numTokens` on, all of them computed: full
   * blocks are shared, and a partial one is the one block to copy. One block is free.
   */
  fork(numTokens: number): { table: BlockTable; copy?: { from: number; to: number } } {
    assert(
      this.#blocks.length === Math.ceil(numTokens / this.#blockTokens),
      `fork at ${numTokens} tokens of a table of ${this.#blocks.length} blocks`,
    );
    const table = new BlockTable(this.#pool, this.#blockTokens, this.#window);
    const numFull = Math.floor(numTokens / this.#blockTokens);
    table.adopt(this.#blocks.slice(0, numFull));
    if (numFull === this.#blocks.length) return { table };
    const to = this.#pool.allocate();
    table.#blocks.push(to);
    return { table, copy: { from: this.#blocks[numFull], to } };
  }

  /** Blocks that the table's pool could hand out now. */
  get numFree(): number {
    return this.#pool.numFree;
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
