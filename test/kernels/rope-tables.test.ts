// RoPE tables against the formulas as papers and transformers write them (wavelengths, not turns).

import { describe, expect, test } from "vitest";
import { KernelError } from "../../kernels/errors.ts";
import {
  type RopeSpec,
  ropeFrequencies,
  ropeTable,
  rotaryDims,
} from "../../kernels/rope-tables.ts";

const plain: RopeSpec = { headDim: 64, base: 1e4, scaling: { type: "default" } };

test("default frequencies fall from 1 to almost 1/base", () => {
  const frequencies = ropeFrequencies(plain);
  expect(frequencies).toHaveLength(32);
  expect(frequencies[0]).toBe(1);
  expect(frequencies[16]).toBeCloseTo(0.01, 15);
  expect(frequencies[31]).toBeCloseTo(Math.exp((-62 / 64) * Math.log(1e4)), 15);
});

test("a row holds cosines, then sines, of position times frequency", () => {
  const table = ropeTable(plain, 1000);
  expect(table).toHaveLength(1000 * 64);
  expect(table[999 * 64]).toBe(Math.fround(Math.cos(999)));
  expect(table[999 * 64 + 32]).toBe(Math.fround(Math.sin(999)));
  expect(table[999 * 64 + 32 + 16]).toBeCloseTo(Math.sin(9.99), 7);
  expect([...table.subarray(0, 64)]).toEqual([...Array(32).fill(1), ...Array(32).fill(0)]);
});

test("linear scaling divides positions", () => {
  const scaled = ropeTable({ ...plain, scaling: { type: "linear", factor: 4 } }, 33);
  const table = ropeTable(plain, 9);
  expect([...scaled.subarray(32 * 64, 33 * 64)]).toEqual([...table.subarray(8 * 64, 9 * 64)]);
});

test("llama3 scaling keeps short waves, divides long ones and blends between", () => {
  const scaling = {
    type: "llama3",
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContext: 8192,
  } as const;
  const base = 5e5;
  const spec: RopeSpec = { headDim: 128, base, scaling };
  const bands = { kept: 0, divided: 0, blended: 0 };
  for (const [i, frequency] of ropeFrequencies(spec).entries()) {
    const unscaled = base ** ((-2 * i) / 128);
    const wavelength = (2 * Math.PI) / unscaled;
    let expected: number;
    if (wavelength < 8192 / 4) {
      expected = unscaled;
      bands.kept += 1;
    } else if (wavelength > 8192 / 1) {
      expected = unscaled / 8;
      bands.divided += 1;
    } else {
      const smooth = (8192 / wavelength - 1) / (4 - 1);
      expected = ((1 - smooth) * unscaled) / 8 + smooth * unscaled;
      bands.blended += 1;
    }
    expect(frequency / expected).toBeCloseTo(1, 12);
  }
  expect(Math.min(...Object.values(bands))).toBeGreaterThan(3);
});

test("YaRN keeps fast pairs, divides slow ones and blends between, as wavelengths tell", () => {
  const common = { type: "yarn", factor: 32, betaFast: 32, betaSlow: 1 } as const;
  const scaling = { ...common, originalContext: 4096, truncate: false, attentionFactor: 1 };
  const spec: RopeSpec = { headDim: 64, base: 150_000, scaling };
  const frequencies = ropeFrequencies(spec);
  const bands = { kept: 0, divided: 0, blended: 0 };
  for (const [i, frequency] of frequencies.entries()) {
    const unscaled = 150_000 ** ((-2 * i) / 64);
    const turns = (4096 * unscaled) / (2 * Math.PI);
    if (turns > 32) {
      expect(frequency).toBeCloseTo(unscaled, 15);
      bands.kept += 1;
    } else if (turns < 1) {
      expect((frequency * 32) / unscaled).toBeCloseTo(1, 12);
      bands.divided += 1;
    } else {
      // The blend is linear in the pair, so in the logarithm of its turns.
      const share = 1 - Math.log(turns) / Math.log(32);
      expect(frequency / unscaled).toBeCloseTo(1 - share + share / 32, 12);
      bands.blended += 1;
    }
  }
  expect(Math.min(...Object.values(bands))).toBeGreaterThan(3);
  const truncated = ropeFrequencies({ ...spec, scaling: { ...scaling, truncate: true } });
  expect(truncated[12]).not.toBe(frequencies[12]);
});

test("LongRoPE takes its list by the positions of the table, and scales both by its factor", () => {
  const scaling = {
    type: "longrope",
    ...{ originalContext: 16, attentionFactor: 1.25 },
    shortDivisors: Array.from({ length: 32 }, () => 2),
    longDivisors: Array.from({ length: 32 }, () => 4),
  } as const;
  const spec: RopeSpec = { ...plain, scaling };
  const scaled = (position: number) => [
    ...ropeTable(plain, 20)
      .subarray(64 * position, 64 * (position + 1))
      .map((value) => value * 1.25),
  ];
  const within = ropeTable(spec, 16);
  const beyond = ropeTable(spec, 17);
  expect(within[64 * 8]).toBeCloseTo(scaled(4)[0]!, 6);
  expect(beyond[64 * 8]).toBeCloseTo(scaled(2)[0]!, 6);
  expect(beyond[64 * 16 + 40]).toBeCloseTo(scaled(4)[40]!, 6);
  // A row that both have is another: which list it is must not change while keys are in the cache.
  expect(within[64 * 8 + 32]).not.toBe(beyond[64 * 8 + 32]);
});

describe("rotary dims", () => {
  test("none rotates nothing", () => {
    const none: RopeSpec = { ...plain, scaling: { type: "none" } };
    expect(rotaryDims(none)).toBe(0);
    expect(ropeTable(none, 100)).toHaveLength(0);
  });

  test("a partial factor rotates the first dims", () => {
    expect(rotaryDims({ ...plain, headDim: 80, rotaryFactor: 0.4 })).toBe(32);
    expect(ropeFrequencies({ ...plain, headDim: 80, rotaryFactor: 0.4 })[1]).toBe(1e4 ** (-2 / 32));
  });

  test.each([0.05, 2])("refuses factor %f", (rotaryFactor) => {
    expect(() => rotaryDims({ ...plain, rotaryFactor })).toThrow(KernelError);
    expect(() => rotaryDims({ ...plain, rotaryFactor })).toThrow(/multiple of 8/);
  });
});
