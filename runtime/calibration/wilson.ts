/** How sure a share is that was counted. */

/** Two-sided, of a normal distribution. */
const Z_95 = 1.959963984540054;

/**
 * The 95 % interval of a share of which `right` of `count` were seen; never outside [0, 1].
 * @param count At least 1.
 * @see Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
 */
export function wilsonInterval(right: number, count: number): readonly [low: number, high: number] {
  const share = right / count;
  const z2 = Z_95 ** 2;
  const centre = (share + z2 / (2 * count)) / (1 + z2 / count);
  const half =
    (Z_95 / (1 + z2 / count)) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count * count));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
