/** How the hidden states of a text become one vector. */

export const POOLINGS = ["mean", "last", "cls"] as const;

/** Of all tokens the mean, the last, or the first: that of models that read in both directions. */
export type Pooling = (typeof POOLINGS)[number];
