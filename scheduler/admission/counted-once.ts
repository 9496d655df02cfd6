/** Tokens that several sequences hold in the same blocks take the memory of one. */

export interface SharedTokens {
  /** The same for all that hold them, and theirs alone. */
  readonly lineage: object;
  readonly numTokens: number;
}

/** @returns Asked about one sequence after another: how many of its tokens an earlier one counts. */
export function countedBefore(): (sequence: { readonly shared?: SharedTokens }) => number {
  const counted = new Set<object>();
  return ({ shared }) => {
    if (shared === undefined) return 0;
    if (counted.has(shared.lineage)) return shared.numTokens;
    counted.add(shared.lineage);
    return 0;
  };
}
