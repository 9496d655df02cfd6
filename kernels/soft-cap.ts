/**
 * Soft caps of scores and of logits: cap · tanh(x / cap). The fragment and its slow twin.
 * @see Gemma 2, arXiv:2408.00118 §2.
 */
import { wgsl } from "./kernel.ts";

/**
 * `fn soft_cap(x, cap)`, of four values. By `exp` of nothing above 0, as WGSL promises 1e-5 of `tanh` and
 * no more, which a cap of 50 makes 5e-4.
 */
export const softCapWgsl = wgsl`fn soft_cap(x: vec4<f32>, cap: f32) -> vec4<f32> {
  let e = exp(-2.0 * abs(x / cap));
  return sign(x) * ((1.0 - e) / (1.0 + e)) * cap;
}`;

export const softCapReference = (x: number, cap: number): number => cap * Math.tanh(x / cap);
