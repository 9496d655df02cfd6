// What is kept of a distribution, and how far another is from it.

import { expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import { divergence, likeliest } from "../../../runtime/calibration/likeliest.ts";

/** By the definition, in float64. */
function klOf(p: Float32Array, q: Float32Array): number {
  const softmax = (values: Float32Array) => {
    const max = Math.max(...values);
    const powers = Array.from(values, (value) => Math.exp(value - max));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  };
  const [ps, qs] = [softmax(p), softmax(q)];
  return ps.reduce((sum, each, i) => sum + each * Math.log(each / qs[i]), 0);
}

function logitsOf(count: number, seed: number, scale = 4): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: count }, () => scale * (random() - 0.5));
}

test.each([1, 7, 1000, 1024])("KL of %i ids is that of its definition", (count) => {
  const [p, q] = [logitsOf(count, 1), logitsOf(count, 2)];
  expect(divergence(likeliest(p), q)).toBeCloseTo(klOf(p, q), 5);
  expect(divergence(likeliest(p), p)).toBeLessThan(1e-6);
});

test("of more ids the others count as one: never above the whole, and near it where few matter", () => {
  const p = logitsOf(5000, 3);
  const q = p.map((value, i) => value + (i % 5 === 0 ? 0.5 : 0));
  const whole = klOf(p, q);
  const kept = divergence(likeliest(p), q);
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThanOrEqual(whole + 1e-9);
  // As a model's are: nearly all in a few ids, which differ.
  for (const id of [17, 4000, 4990]) {
    p[id] = 16;
    q[id] = 14 + (id % 3);
  }
  expect(divergence(likeliest(p), q)).toBeCloseTo(klOf(p, q), 3);
  expect(likeliest(p).ids).toContain(4990);
});

test("of equal logits the first is the likeliest, as greedy requests have it", () => {
  expect(likeliest(Float32Array.of(1, 3, 3, 2)).top).toBe(1);
});

test("an id that the whole model rules out adds nothing", () => {
  const p = likeliest(Float32Array.of(0, -1e30, 2));
  const without = divergence(p, Float32Array.of(0, -1e30, 2));
  expect(without).toBeLessThan(1e-6);
});
