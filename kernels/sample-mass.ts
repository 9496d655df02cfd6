/**
 * Probability mass as 64-bit fixed point: (low, high) words in units of 2^-40 of the likeliest token.
 * Integers, because their sums do not depend on order: a histogram of atomics, a scan and a total
 * agree to the last bit. Owns the arithmetic and the weight of a score. Vocabularies to 2^23.
 */
import { wgsl } from "./kernel.ts";

/** Needs `mul_wide` of philox.ts. */
export const massWgsl: string = wgsl`
fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn sub64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}
fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}
// floor(mass * fraction / 2^32)
fn scale64(mass: vec2<u32>, fraction: u32) -> vec2<u32> {
  return add64(mul_wide(mass.y, fraction), vec2<u32>(mul_wide(mass.x, fraction).y, 0u));
}

// exp(score - top) in units of 2^-40, top >= score. Not the built-in exp: WGSL lets that be off by
// 3 + 2|x| units in the last place, and a nucleus is a sum of 150,000 of them.
fn weight(score: f32, top: f32) -> vec2<u32> {
  let d = top - score;
  if (!(d < 28.0)) { return vec2<u32>(0u); }
  let n = floor(fma(d, 1.44269504, 0.5));
  // r = n ln 2 - d, |r| <= ln(2)/2, with ln 2 in two parts: n times the first is exact, fused or not.
  let r = fma(n, -2.12194440e-4, fma(n, 0.693359375, -d));
  var e = fma(r, 1.0 / 5040.0, 1.0 / 720.0);
  e = fma(r, e, 1.0 / 120.0);
  e = fma(r, e, 1.0 / 24.0);
  e = fma(r, e, 1.0 / 6.0);
  e = fma(r, e, 0.5);
  e = fma(r, e, 1.0);
  e = fma(r, e, 1.0);
  // exp(r) lies in [0.7, 1.42): 24 fraction bits hold it exactly. Then times 2^16 / 2^n.
  let m = u32(e * 16777216.0);
  let shift = u32(n);
  if (shift > 16u) { return vec2<u32>(m >> (shift - 16u), 0u); }
  return vec2<u32>(m << (16u - shift), m >> min(16u + shift, 31u));
}
`;
