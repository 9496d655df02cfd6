// Pools, tables and prefix cache once more, by plain lists and strings: what the real ones are
// compared with after every operation. A block's content is spelled out, so that a wrong hit shows.

import assert from "node:assert/strict";

export interface NaiveSequence {
  readonly scope: string;
  /** Those that the host knows; grows. */
  readonly ids: number[];
  /** Those that the sequence will have had, known or not. */
  readonly allIds: readonly number[];
  numComputed: number;
  numPublished: number;
  /** It has published or hit something: the cache keeps its prefix while it lives. */
  holdsPrefix: boolean;
  /** By KV group. */
  tables: number[][];
}

export interface NaiveHit {
  readonly numTokens: number;
  readonly blocks: readonly (readonly number[])[];
}

interface NaiveCopy {
  readonly group: number;
  readonly from: number;
  readonly to: number;
}

interface NaivePool {
  readonly window: number;
  /** First to be handed out first. */
  readonly free: number[];
  readonly holders: Map<number, number>;
  /** What the memory of each block holds: scope and all ids up to its end, if it is full. */
  readonly contents: Map<number, string>;
  /** Blocks that the cache knows, in the order in which it got to know them. */
  readonly known: Set<number>;
}

export class NaiveBlocks {
  readonly pools: readonly NaivePool[];
  readonly sequences: NaiveSequence[] = [];
  numEvicted = 0;
  readonly #blockTokens: number;

  constructor(windows: readonly number[], numBlocks: readonly number[], blockTokens: number) {
    this.#blockTokens = blockTokens;
    this.pools = windows.map((window, group) => ({
      window,
      free: Array.from({ length: numBlocks[group] - 1 }, (_, i) => i + 1),
      holders: new Map(),
      contents: new Map(),
      known: new Set(),
    }));
  }

  /** Tries every length, longest first. */
  lookup({ scope, ids }: Pick<NaiveSequence, "scope" | "ids">): NaiveHit {
    const mostBlocks = Math.floor((ids.length - 1) / this.#blockTokens);
    for (let numBlocks = mostBlocks; numBlocks > 0; numBlocks--) {
      const from = numBlocks * this.#blockTokens;
      const tables = this.pools.map((pool) =>
        Array.from({ length: numBlocks }, (_, i) => {
          if (!this.#sees(pool, from, i)) return 0;
          const content = this.content(scope, ids, i);
          const equal = [...pool.known].filter((block) => pool.contents.get(block) === content);
          return equal.find((block) => pool.holders.has(block)) ?? equal.at(0);
        }),
      );
      if (tables.every((table) => !table.includes(undefined)))
        return { numTokens: from, blocks: tables as number[][] };
    }
    return { numTokens: 0, blocks: this.pools.map(() => []) };
  }

  /** Whether there are blocks for a first row up to `to`. */
  canStart({ blocks }: NaiveHit, to: number): boolean {
    return this.pools.every(({ free }, group) => {
      const left = free.filter((block) => !blocks[group].includes(block));
      return (blocks[group].length + left.length) * this.#blockTokens >= to;
    });
  }

  start(sequence: NaiveSequence, { numTokens, blocks }: NaiveHit): void {
    this.sequences.push(sequence);
    sequence.numComputed = numTokens;
    sequence.numPublished = numTokens / this.#blockTokens;
    sequence.holdsPrefix = numTokens > 0;
    sequence.tables = blocks.map((table) => [...table]);
    this.#holdAll(sequence);
  }

  /** Whether there are blocks for a row up to `to`, those included that it gives up. */
  canAdvance({ numComputed, tables }: NaiveSequence, to: number): boolean {
    return this.pools.every((pool, group) => {
      const table = tables[group];
      const freed = table.filter(
        (block, i) =>
          block !== 0 && !this.#sees(pool, numComputed, i) && pool.holders.get(block) === 1,
      );
      const numBlocks = table.length + freed.length + pool.free.length;
      return numBlocks * this.#blockTokens >= to;
    });
  }

  advance(sequence: NaiveSequence, to: number): void {
    const from = sequence.numComputed;
    this.pools.forEach((pool, group) => {
      const table = sequence.tables[group];
      table.forEach((block, i) => {
        if (block === 0 || this.#sees(pool, from, i)) return;
        this.#release(pool, block);
        table[i] = 0;
      });
      while (table.length * this.#blockTokens < to) table.push(this.#allocate(pool));
      for (let i = Math.floor(from / this.#blockTokens); i < table.length; i++) {
        assert.equal(pool.holders.get(table[i]), 1, "a row writes what another sequence reads");
        assert(!pool.known.has(table[i]), "a row writes what the cache knows");
        if ((i + 1) * this.#blockTokens <= to)
          pool.contents.set(table[i], this.content(sequence.scope, sequence.allIds, i));
      }
    });
    sequence.numComputed = to;
  }

  publish(sequence: NaiveSequence): void {
    const { scope, ids, numComputed, tables } = sequence;
    const end = Math.floor(Math.min(ids.length, numComputed) / this.#blockTokens);
    for (; sequence.numPublished < end; sequence.numPublished++) {
      const i = sequence.numPublished;
      sequence.holdsPrefix = true;
      this.pools.forEach(({ window, known, contents }, group) => {
        const block = tables[group][i];
        if (block === 0) return;
        assert.equal(contents.get(block), this.content(scope, ids, i), "published before full");
        const isChild = i > 0 && window === Number.POSITIVE_INFINITY;
        assert(!isChild || known.has(tables[group][i - 1]), "a child is cached before its parent");
        known.add(block);
      });
    }
  }

  /** Whether the sequence still has all that a query at `at` sees. */
  canFork({ tables }: NaiveSequence, at: number): boolean {
    return this.pools.every((pool, group) =>
      tables[group].every(
        (block, i) => block !== 0 || i * this.#blockTokens >= at || !this.#sees(pool, at, i),
      ),
    );
  }

  /** @returns The copies: one per group, or none where no block is partly filled. */
  fork(sequence: NaiveSequence, fork: NaiveSequence, at: number): NaiveCopy[] {
    const numFull = Math.floor(at / this.#blockTokens);
    fork.numComputed = at;
    fork.numPublished = Math.min(sequence.numPublished, numFull);
    fork.tables = sequence.tables.map((table, group) =>
      table.slice(0, numFull).map((block, i) => (this.#sees(this.pools[group], at, i) ? block : 0)),
    );
    this.#holdAll(fork);
    this.sequences.push(fork);
    if (at === numFull * this.#blockTokens) return [];
    return this.pools.map((pool, group) => {
      const to = this.#allocate(pool);
      fork.tables[group].push(to);
      return { group, from: sequence.tables[group][numFull], to };
    });
  }

  release(sequence: NaiveSequence): void {
    this.sequences.splice(this.sequences.indexOf(sequence), 1);
    this.pools.forEach((pool, group) => {
      for (const block of sequence.tables[group].toReversed())
        if (block !== 0) this.#release(pool, block);
    });
  }

  /** free + used = N, by counting who holds what. */
  check(): void {
    this.pools.forEach(({ free, holders, known, contents }, group) => {
      const held = this.sequences.flatMap(({ tables }) => tables[group].filter(Boolean));
      let numHolders = 0;
      for (const count of holders.values()) numHolders += count;
      assert(held.every((block) => holders.has(block)) && held.length === numHolders);
      assert(free.every((block) => !holders.has(block)));
      for (const block of known) assert(contents.has(block), "the cache knows a block not full");
    });
  }

  /** Beginnings that a known block or a live sequence needs, and all beginnings of those. */
  numPrefixes(): number {
    const needed = new Set<string>();
    // A content ends with a semicolon after each block, so its beginnings can be read off.
    const add = (content: string) => {
      let prefix = content;
      while (prefix !== "" && !needed.has(prefix)) {
        needed.add(prefix);
        prefix = prefix.slice(0, prefix.lastIndexOf(";", prefix.length - 2) + 1);
      }
    };
    for (const { known, contents } of this.pools)
      for (const block of known) add(contents.get(block)!);
    for (const { scope, ids, numPublished, holdsPrefix } of this.sequences)
      if (holdsPrefix) add(this.content(scope, ids, numPublished - 1));
    return needed.size;
  }

  /** `scope;`, then the ids of each block up to that of the index. */
  content(scope: string, ids: readonly number[], index: number): string {
    let content = `${scope};`;
    for (let block = 0; block <= index; block++)
      content += `${ids.slice(block * this.#blockTokens, (block + 1) * this.#blockTokens)};`;
    return content;
  }

  /** Whether a query at `from` sees any token of the block. */
  #sees({ window }: NaivePool, from: number, index: number): boolean {
    return (index + 1) * this.#blockTokens - 1 > from - window;
  }

  #holdAll({ tables }: NaiveSequence): void {
    this.pools.forEach(({ free, holders }, group) => {
      for (const block of tables[group]) {
        if (block === 0) continue;
        holders.set(block, (holders.get(block) ?? 0) + 1);
        const at = free.indexOf(block);
        if (at >= 0) free.splice(at, 1);
      }
    });
  }

  #allocate({ free, holders, contents, known }: NaivePool): number {
    const block = free.shift()!;
    assert(block > 0, "the naive pool is empty");
    holders.set(block, 1);
    contents.delete(block);
    if (known.delete(block)) this.numEvicted += 1;
    return block;
  }

  #release({ free, holders, known }: NaivePool, block: number): void {
    const left = holders.get(block)! - 1;
    if (left > 0) holders.set(block, left);
    else {
      holders.delete(block);
      if (known.has(block)) free.push(block);
      else free.unshift(block);
    }
  }
}
