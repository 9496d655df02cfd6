// The rounding of activations to int8 (kernels/int8-activations.ts), from its definition.

import { expect, test } from "vitest";
import { roundToInt8, steadied } from "../../kernels/int8-activations.ts";
import { matmul } from "../../kernels/matmul.ts";
import { normal, seededRandom } from "../../kernels/probe.ts";

const COLUMNS = 32;
const most = (x: Float32Array) => x.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0);

test("a value moves by half a step at most, and a step is 1/127 of the largest, or 1/16 more", () => {
  const random = seededRandom(1);
  for (const scale of [1, 1e-3, 1e-20, 6e4, 1e30]) {
    for (let i = 0; i < 50; i++) {
      const x = normal(COLUMNS, random, scale);
      const rounded = roundToInt8(x);
      const step = (most(x) / 127) * (1 + 1 / 16);
      for (const [k, v] of x.entries())
        expect(Math.abs(rounded[k]! - v)).toBeLessThan(step * 0.501);
    }
  }
});

test("whole steps stay, and halves go to the even code", () => {
  // Of this largest value the scale is 1.
  const x = Float32Array.from({ length: COLUMNS }, (_, k) => (k === 0 ? 127 : k / 2 - 8));
  const halfEven = (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : v);
  expect([...roundToInt8(x)]).toEqual(Array.from(x, (v) => halfEven(v) + 0));
});

test("each chunk has its own scale", () => {
  const x = new Float32Array(2 * COLUMNS).fill(1);
  x[5] = 1e4;
  const rounded = roundToInt8(x);
  expect([...rounded.subarray(COLUMNS)]).toEqual(new Array(COLUMNS).fill(rounded[COLUMNS]));
  expect(rounded[COLUMNS]).toBeCloseTo(1, 2);
  expect(rounded[0]).toBe(0);
});

test("zeros and chunks below 2^-100 are zero; an infinity is not hidden", () => {
  const sum = (x: Float32Array) => roundToInt8(x).reduce((total, v) => total + v, 0);
  expect(sum(new Float32Array(COLUMNS))).toBe(0);
  expect(sum(new Float32Array(COLUMNS).fill(2 ** -101))).toBe(0);
  expect(sum(Float32Array.from({ length: COLUMNS }, (_, k) => (k === 3 ? Infinity : 1)))).toBeNaN();
});

// What lets a driver divide as inexactly as WGSL allows, by 2.5 units in the last place.
test("the inverse of every scale is the same for quotients that are off by three units", () => {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (let sixteenths = 16; sixteenths < 32; sixteenths++) {
    float[0] = 16 / sixteenths;
    const exact = bits[0]!;
    const rounded = [-3, -2, -1, 0, 1, 2, 3].map((units) => ((exact + units + 0x80) & ~0xff) >>> 0);
    expect(new Set(rounded).size, `1 / ${sixteenths / 16}`).toBe(1);
  }
});

test("a steady probe keeps normalised values away from the middle between two codes", () => {
  const { probes } = matmul({
    ...{ format: "q8_0", shape: "small_m_int8", prologue: "norm" },
    epilogue: { bias: false, tail: "store" },
  });
  for (const { dims, inputs } of probes.map(steadied)) {
    const { T, K, eps } = dims as { T: number; K: number; eps: number };
    const { x, norm_weight } = inputs(seededRandom(1)) as Record<string, Float32Array>;
    for (let t = 0; t < T; t++) {
      const row = x!.subarray(t * K, (t + 1) * K);
      const rms = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / K + eps);
      const normed = row.map((v, k) => (v / rms) * norm_weight![k]!);
      // As far off as drivers are, and much farther.
      const [below, above] = [1 - 1e-5, 1 + 1e-5].map((off) =>
        roundToInt8(normed.map((v) => v * off)),
      );
      expect(below).toEqual(above);
    }
  }
});
