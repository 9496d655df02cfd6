/**
 * Philox4x32-10: four random words from a counter and a key, the same in WGSL and in JavaScript.
 * Owns the generator and the 32 x 32 -> 64 bit product it needs; keeps no state.
 */
import { wgsl } from "./kernel.ts";

/**
 * `mul_wide(a, b)` is the whole product as (low, high); `philox(counter, key)` the four words.
 * @see Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC '11.
 */
export const philoxWgsl: string = wgsl`
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let left = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let right = (a & 0xffffu) * (b >> 16u) + (left & 0xffffu);
  return vec2<u32>(a * b, (a >> 16u) * (b >> 16u) + (left >> 16u) + (right >> 16u));
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let x = mul_wide(0xd2511f53u, c.x);
    let z = mul_wide(0xcd9e8d57u, c.z);
    c = vec4<u32>(z.y ^ c.y ^ k.x, z.x, x.y ^ c.w ^ k.y, x.x);
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
`;

export type Words4 = readonly [number, number, number, number];
export type Words2 = readonly [number, number];

/** The twin of `philox`: all words are unsigned 32-bit. */
export function philox(counter: Words4, key: Words2): Words4 {
  let [x, y, z, w] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const [xLow, xHigh] = mulWide(0xd2511f53, x);
    const [zLow, zHigh] = mulWide(0xcd9e8d57, z);
    [x, y, z, w] = [(zHigh ^ y ^ k0) >>> 0, zLow, (xHigh ^ w ^ k1) >>> 0, xLow];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [x, y, z, w];
}

// Through halves of 16 bits, as in the shader: a double holds 53 bits of a product, not 64.
function mulWide(a: number, b: number): Words2 {
  const low = (a & 0xffff) * (b & 0xffff);
  const left = (a >>> 16) * (b & 0xffff) + Math.floor(low / 65536);
  const right = (a & 0xffff) * (b >>> 16) + (left % 65536);
  const high = (a >>> 16) * (b >>> 16) + Math.floor(left / 65536) + Math.floor(right / 65536);
  return [Math.imul(a, b) >>> 0, high];
}
