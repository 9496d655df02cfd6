/**
 * The blocks of one sequence in one KV group, in token order.
 * Grows at the tail as rows are planned; a window group gives back what no query sees any more.
 */
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
   */
  reach(from: number): number {
    const numPassing = this.#numBlocksBefore(from) - this.#numPassed;
    return (this.#blocks.length + numPassing + this.#pool.numFree) * this.#blockTokens;
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

  /** Blocks that a query at `from` sees nothing of. */
  #numBlocksBefore(from: number): number {
    return Math.floor(Math.max(0, from - this.#window + 1) / this.#blockTokens);
  }
}
