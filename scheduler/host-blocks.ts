/**
 * What the host keeps of sequences that were taken back: whose blocks are worth copying there, which
 * of them it has already, and within which budget. Moves no bytes; whoever runs plans does.
 */
import type { CostModel } from "./cost-model.ts";
import type { Sequence } from "./sequence.ts";
import type { BlockSwap, TokenRange } from "./work-plan.ts";

interface HostCopy {
  /** Tokens whose keys and values were copied, but for what a window had passed by then. */
  readonly numTokens: number;
  /** `group/index` of each block that the host has. */
  readonly blocks: ReadonlySet<string>;
}

interface Leaving {
  readonly sequence: Sequence;
  readonly swaps: readonly BlockSwap[];
  /** What the host has of it in any case. */
  readonly before: HostCopy | undefined;
}

export class HostBlocks {
  readonly #costs: CostModel;
  readonly #blockTokens: number;
  readonly #maxBlocks: number;
  readonly #copies = new Map<Sequence, HostCopy>();
  #numBlocks = 0;
  /** Of the plan being made. */
  #out: Leaving[] = [];

  constructor(costs: CostModel, blockTokens: number, maxBlocks: number) {
    this.#costs = costs;
    this.#blockTokens = blockTokens;
    this.#maxBlocks = maxBlocks;
  }

  /** Tokens of a sequence, from the first on, that it need not compute. */
  numTokens(sequence: Sequence): number {
    return this.#copies.get(sequence)?.numTokens ?? 0;
  }

  /**
   * Before its blocks are given back: what the host lacks of them is copied, if that and the way back
   * take less time than to compute the tokens again, and if there is room.
   */
  takeBack(sequence: Sequence): void {
    const { numComputedTokens: numTokens } = sequence;
    if (this.#maxBlocks === 0 || sequence.computesAll || !this.#pays(sequence)) return;
    // Full blocks never change: of those only what was not there the last time.
    const from = this.numTokens(sequence);
    const tables = sequence.blocks.snapshot();
    const swaps = this.#blocksOf(sequence, tables, { from, to: numTokens });
    const before = this.#copies.get(sequence);
    const names = swaps.map(({ group, index }) => `${group}/${index}`);
    const blocks = new Set([...(before?.blocks ?? []), ...names]);
    if (this.#numBlocks + blocks.size - (before?.blocks.size ?? 0) > this.#maxBlocks) return;
    this.#keep(sequence, { numTokens, blocks });
    sequence.awaitsCopy = true;
    this.#out.push({ sequence, swaps, before });
  }

  /** What goes to the host before the plan's rows, and whose: those wait until it has arrived. */
  endPlan(): { readonly swapOut: readonly BlockSwap[]; readonly leaving: readonly Sequence[] } {
    const live = this.#out.filter(({ sequence }) => sequence.state !== "finished");
    this.#out = [];
    return {
      swapOut: live.flatMap(({ swaps }) => swaps),
      leaving: live.map(({ sequence }) => sequence),
    };
  }

  /** There is no plan that could take them along. @returns Whether that makes somebody ready. */
  cancelPlan(): boolean {
    const cancelled = this.#out.filter(({ sequence }) => sequence.state !== "finished");
    this.#out = [];
    for (const { sequence, before } of cancelled) {
      this.#keep(sequence, before);
      sequence.awaitsCopy = false;
    }
    return cancelled.length > 0;
  }

  /**
   * What comes from the host before the row with which a sequence begins again.
   * @param numHit Tokens that it begins with in blocks of the prefix cache.
   * @param blockTables Of its row.
   */
  swapIn(
    sequence: Sequence,
    numHit: number,
    blockTables: readonly (readonly number[])[],
  ): BlockSwap[] {
    return this.#blocksOf(sequence, blockTables, { from: numHit, to: this.numTokens(sequence) });
  }

  /** It has ended. */
  drop(sequence: Sequence): void {
    this.#keep(sequence, undefined);
  }

  /** What was on its way is lost with the device, and so is the use of the rest. */
  lose(): void {
    for (const sequence of this.#copies.keys()) sequence.awaitsCopy = false;
    this.#copies.clear();
    this.#numBlocks = 0;
    this.#out = [];
  }

  #keep(sequence: Sequence, copy: HostCopy | undefined): void {
    this.#numBlocks += (copy?.blocks.size ?? 0) - (this.#copies.get(sequence)?.blocks.size ?? 0);
    if (copy === undefined) this.#copies.delete(sequence);
    else this.#copies.set(sequence, copy);
  }

  /** Blocks of the tables that hold any of the tokens, but for those that a window has passed. */
  #blocksOf(
    { id: sequenceId, blocks }: Sequence,
    tables: readonly (readonly number[])[],
    { from, to }: TokenRange,
  ): BlockSwap[] {
    const [fromPlaces, toPlaces] = [blocks.places(from), blocks.places(to)];
    return tables.flatMap((table, group) => {
      const first = Math.floor((fromPlaces?.[group] ?? from) / this.#blockTokens);
      const end = Math.ceil((toPlaces?.[group] ?? to) / this.#blockTokens);
      return table
        .slice(first, end)
        .flatMap((block, i) =>
          block === 0 ? [] : [{ sequenceId, group, index: first + i, block }],
        );
    });
  }

  #pays(sequence: Sequence): boolean {
    const { numComputedTokens: n } = sequence;
    const outMs = this.#costs.copyMs?.(n - this.numTokens(sequence));
    const backMs = this.#costs.copyMs?.(n);
    if (n === 0 || outMs === undefined || backMs === undefined) return false;
    const work = { numTokens: n, numKvTokens: n, numAttended: (n * (n + 1)) / 2 };
    return outMs + backMs < this.#costs.predictMs(work);
  }
}
