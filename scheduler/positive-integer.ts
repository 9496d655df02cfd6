/** What counts must be: of tokens, blocks, rows. */
export const isPositiveInteger = (value: number): boolean =>
  Number.isSafeInteger(value) && value > 0;
