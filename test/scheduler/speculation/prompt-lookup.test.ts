// Drafts from the sequence's own ids: by hand, and against a twin that searches all of it each time.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../scheduler/random.ts";
import { PromptLookup } from "../../../scheduler/speculation/prompt-lookup.ts";

function lookup(ids: readonly number[]): PromptLookup {
  const index = new PromptLookup();
  for (const id of ids) index.push(id);
  return index;
}

/** From the newest place backwards, three tokens before two. */
function naive(ids: readonly number[], max: number): number[] {
  for (const length of [3, 2]) {
    if (ids.length < length) continue;
    const suffix = ids.slice(-length);
    for (let from = ids.length - 1; from >= length; from--) {
      if (suffix.some((id, i) => ids[from - length + i] !== id)) continue;
      const all = [...ids];
      while (all.length < from + max) all.push(all[all.length - (ids.length - from)]!);
      return all.slice(from, from + max);
    }
  }
  return [];
}

describe("proposals", () => {
  test("are what followed the last tokens before", () => {
    expect(lookup([1, 2, 3, 4, 5, 6, 1, 2, 3]).propose(2)).toEqual([4, 5]);
  });

  test("come from the longest match, though a shorter one is newer", () => {
    expect(lookup([1, 2, 3, 7, 9, 2, 3, 8, 1, 2, 3]).propose(1)).toEqual([7]);
  });

  test("come from the newest of equal matches", () => {
    expect(lookup([1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3]).propose(1)).toEqual([8]);
  });

  test("need two tokens: one says too little", () => {
    expect(lookup([5, 1, 2, 9, 1]).propose(4)).toEqual([]);
    expect(lookup([5, 1, 2, 5, 1]).propose(1)).toEqual([2]);
  });

  test("are none in a sequence that never repeats, nor in one that has just begun", () => {
    expect(lookup([1, 2, 3, 4]).propose(4)).toEqual([]);
    expect(lookup([1]).propose(4)).toEqual([]);
    expect(lookup([]).propose(4)).toEqual([]);
  });

  test("go on with themselves where they reach the end", () => {
    expect(lookup([4, 1, 2, 1, 2]).propose(5)).toEqual([1, 2, 1, 2, 1]);
    expect(lookup([7, 7, 7]).propose(4)).toEqual([7, 7, 7, 7]);
  });

  test("hold for the largest ids of real vocabularies", () => {
    const big = 262_207;
    expect(lookup([big, 1, big, 3, big, 1, big]).propose(2)).toEqual([3, big]);
  });
});

test("at every length of random sequences it says what the naive twin says", () => {
  const random = seededRandom(5);
  for (const vocabulary of [2, 3, 8, 40]) {
    const index = new PromptLookup();
    const ids: number[] = [];
    for (let i = 0; i < 300; i++) {
      const id = Math.floor(random() * vocabulary);
      ids.push(id);
      index.push(id);
      expect(index.propose(6), ids.join(" ")).toEqual(naive(ids, 6));
    }
    expect(index.numTokens).toBe(300);
  }
});

test("200,000 tokens are no matter: a search of all before would take 20 billion steps", () => {
  const random = seededRandom(9);
  const index = new PromptLookup();
  let numProposed = 0;
  for (let i = 0; i < 200_000; i++) {
    index.push(Math.floor(random() * 500));
    numProposed += index.propose(2).length;
  }
  // Nearly every pair of 500 ids has occurred before half of them.
  expect(numProposed).toBeGreaterThan(100_000);
}, 10_000);
