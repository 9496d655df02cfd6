/** Draws from distributions, made of uniform numbers. */
import { assert } from "../assert.ts";
import type { Random } from "../random.ts";

/** @param a, b At least 1. */
export function betaDraw(a: number, b: number, random: Random): number {
  const x = gammaDraw(a, random);
  return x / (x + gammaDraw(b, random));
}

/**
 * Of scale 1.
 * @see Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000.
 */
function gammaDraw(shape: number, random: Random): number {
  assert(shape >= 1, `a gamma distribution of shape ${shape}`);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normalDraw(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return d * v;
  }
}

/** Box-Muller. */
const normalDraw = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
