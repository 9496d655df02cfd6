// f16 and bf16 to numbers and back, all 65,536 bit patterns of each, and rounding to nearest even.

import { expect, test } from "vitest";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../../kernels/half.ts";

/** [name, bits to number, number to bits, bits of the fraction] */
const formats = [
  ["f16", f16ToNumber, numberToF16, 10],
  ["bf16", bf16ToNumber, numberToBf16, 7],
] as const;

const ALL = Array.from({ length: 65536 }, (_, bits) => bits);

/** The value by the definition of a binary format, in exact float64 arithmetic. */
function define(bits: number, fractionBits: number): number {
  const exponentBits = 15 - fractionBits;
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = bits & (2 ** fractionBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
}

test.each(formats)("every %s pattern has its value", (_, toNumber, __, fractionBits) => {
  const wrong = ALL.filter((bits) => !Object.is(toNumber(bits), define(bits, fractionBits)));
  expect(wrong).toEqual([]);
});

test.each(formats)("every %s pattern comes back, NaN as a NaN", (_, toNumber, toBits) => {
  const wrong = ALL.filter((bits) => {
    const value = toNumber(bits);
    return Number.isNaN(value) ? !Number.isNaN(toNumber(toBits(value))) : toBits(value) !== bits;
  });
  expect(wrong).toEqual([]);
});

test.each(formats)(
  "numbers between two %s go to the nearer, ties to even",
  (_, toNumber, toBits, fractionBits) => {
    const infinity = (2 ** (15 - fractionBits) - 1) << fractionBits;
    const wrong: number[] = [];
    for (let bits = 0; bits + 1 < infinity; bits++) {
      const low = toNumber(bits);
      const high = toNumber(bits + 1);
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      for (const sign of [0, 0x8000]) {
        const signed = (value: number) => toBits(sign ? -value : value) - sign;
        // Numbers beside the middle that a float32 can hold.
        const step = Math.max(middle * 2 ** -20, 2 ** -149);
        if (signed(middle) !== even) wrong.push(middle);
        if (signed(middle - step) !== bits) wrong.push(middle - step);
        if (signed(middle + step) !== bits + 1) wrong.push(middle + step);
      }
    }
    expect(wrong).toEqual([]);
  },
);

test("what lies beyond is infinite from half a step above the largest", () => {
  expect(numberToF16(65519.99)).toBe(0x7bff);
  expect(numberToF16(65520)).toBe(0x7c00);
  expect(numberToF16(-1e9)).toBe(0xfc00);
  const largest = bf16ToNumber(0x7f7f);
  expect(numberToBf16(largest * (1 + 2 ** -10))).toBe(0x7f7f);
  expect(numberToBf16(3.4e38)).toBe(0x7f80);
  expect(numberToBf16(Number.NEGATIVE_INFINITY)).toBe(0xff80);
});

test("known values", () => {
  expect([1, -2, 65504, 2 ** -14, 2 ** -24, 0.1].map(numberToF16)).toEqual([
    0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x2e66,
  ]);
  expect([1, -2, 3.140625, 0.1].map(numberToBf16)).toEqual([0x3f80, 0xc000, 0x4049, 0x3dcd]);
  expect(Object.is(f16ToNumber(0x8000), -0)).toBe(true);
  expect(numberToF16(-0)).toBe(0x8000);
  expect(numberToBf16(-0)).toBe(0x8000);
});
