/** From which confidence on tokens may leave a model early, so that few become others than it says. */

/** A token at a layer where tokens may leave. */
export interface ExitSample {
  /** 0 to 1. */
  readonly confidence: number;
  /** Whether the token would be the one that all layers say. */
  readonly agrees: boolean;
}

export interface ExitThreshold {
  /** Tokens of that confidence or more leave. */
  readonly threshold: number;
  /** Of the samples. */
  readonly numExits: number;
  readonly numDisagreeing: number;
  /** Of those that leave, what share may disagree at most. */
  readonly disagreement: number;
}

export interface ExitTarget {
  /** Of the tokens that leave, the share that may disagree. */
  readonly epsilon: number;
  /** How likely that may be wrong, over all thresholds tried. */
  readonly delta: number;
}

/** 1 − 2^(−i/2): fine near 1, where confidences crowd. Fixed before the samples are seen. */
const CANDIDATES = Array.from({ length: 33 }, (_, i) => 1 - 2 ** (-i / 2));

/**
 * The least threshold of which it is sure, but for `delta`, that no more than `epsilon` of the tokens that
 * leave disagree; undefined where the samples are too few or too unlike for any.
 */
export function exitThreshold(
  samples: readonly ExitSample[],
  { epsilon, delta }: ExitTarget,
): ExitThreshold | undefined {
  for (const threshold of CANDIDATES) {
    const exits = samples.filter(({ confidence }) => confidence >= threshold);
    const numDisagreeing = exits.filter(({ agrees }) => !agrees).length;
    // Each candidate is a chance to be wrong.
    const disagreement = upperBound(numDisagreeing, exits.length, delta / CANDIDATES.length);
    if (disagreement <= epsilon) {
      return { threshold, numExits: exits.length, numDisagreeing, disagreement };
    }
  }
  return undefined;
}

/** Halvings: more than a number in 0 to 1 has bits. */
const HALVINGS = 60;

/**
 * The share p that `count` of `total` independent draws leave possible: the largest with
 * total · KL(count / total ‖ p) ≤ ln(1 / delta). That is Hoeffding's bound before he relaxes it to
 * count / total + sqrt(ln(1 / delta) / (2 · total)): for one in a hundred of tokens that all agree, with
 * 0.05 over all candidates, 650 tokens are enough where the other asks for 32,000.
 * @see Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables", 1963, theorem 1.
 */
export function upperBound(count: number, total: number, delta: number): number {
  if (total === 0) return 1;
  const share = count / total;
  const limit = Math.log(1 / delta) / total;
  let low = share;
  let high = 1;
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (divergence(share, middle) <= limit) low = middle;
    else high = middle;
  }
  return high;
}

/** KL divergence of two coins. */
function divergence(p: number, q: number): number {
  const term = (a: number, b: number) => (a === 0 ? 0 : a * Math.log(a / b));
  return term(p, q) + term(1 - p, 1 - q);
}
