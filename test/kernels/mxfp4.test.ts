// MXFP4 by its definition: every code at several scales, and the rounding of random values.

import { expect, test } from "vitest";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { decodeBlocks } from "../../kernels/packed-matrix.ts";
import { normal, seededRandom } from "../../kernels/probe.ts";

const { mxfp4 } = weightFormats;
/** E2M1 of the OCP specification, table 5. */
const CODES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

test.each([127, 1, 100, 140, 254])("every code with an exponent of %i", (exponent) => {
  const block = new Uint8Array(18);
  block[0] = exponent;
  for (let code = 0; code < 16; code++) block[2 + code] = code | (code << 4);
  const signed = [...CODES, ...CODES.map((value) => -value)];
  const expected = [...signed, ...signed].map((value) => value * 2 ** (exponent - 127) + 0);
  expect([...decodeBlocks(mxfp4, block)].map((value) => value + 0)).toEqual(
    expected.map(Math.fround),
  );
});

test("an exponent of 255, which is no number, counts as the largest", () => {
  const block = new Uint8Array(18).fill(0x22, 2);
  block[0] = 255;
  expect(decodeBlocks(mxfp4, block)[0]).toBe(2 ** 127);
});

test("values are rounded to the nearest code", () => {
  const values = normal(320, seededRandom(3), 0.1);
  const stored = decodeBlocks(mxfp4, mxfp4.encode(values));
  for (let i = 0; i < values.length; i += 32) {
    const largest = Math.max(...values.subarray(i, i + 32).map(Math.abs));
    const scale = 2 ** (Math.floor(Math.log2(largest)) - 2);
    for (let k = i; k < i + 32; k++) {
      const nearest = Math.min(
        ...CODES.map((code) => Math.abs(scale * code - Math.abs(values[k]!))),
      );
      expect(Math.abs(stored[k]! - values[k]!)).toBeCloseTo(nearest, 7);
    }
  }
});
