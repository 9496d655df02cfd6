// Hardware profiles: the costs that follow from a model's shape, and what a file must hold.

import { describe, expect, test } from "vitest";
import { partsMs } from "../../../scheduler/cost-model.ts";
import { hardwareCosts, hardwareProfiles } from "../../../scheduler/simulator/hardware.ts";
import { readHardware } from "../../../scheduler/simulator/hardware-file.ts";

const decode = (context: number) => ({ numTokens: 1, numKvTokens: context, numAttended: context });

describe("costs", () => {
  const costs = hardwareCosts(hardwareProfiles["desktop-1.7b"]);

  test("a lone token costs the weights, once", () => {
    // 1.72 billion weights of two bytes at 100 GB/s, and a millisecond of submission.
    expect(costs.predictMs(decode(1))).toBeCloseTo(34.4 + 1, 1);
  });

  test("context costs its keys and values", () => {
    // 2 · 8 heads · 128 · 2 bytes · 28 layers = 114,688 bytes a token.
    const added = costs.predictMs(decode(10_001)) - costs.predictMs(decode(1));
    expect(added).toBeCloseTo((10_000 * 114_688) / 100e6, 6);
  });

  test("a prompt costs its arithmetic", () => {
    const work = { numTokens: 512, numKvTokens: 512, numAttended: (512 * 513) / 2 };
    // 1.409 billion weights outside the vocabulary, two operations each, and attention.
    const flops = 512 * 2 * 1.409e9 + 4 * 2048 * 28 * work.numAttended;
    expect(costs.predictMs(work)).toBeCloseTo(1 + flops / 3.6e9, -1);
  });

  test("a mixture of experts reads few for one token and nearly all for many", () => {
    const mixture = hardwareCosts(hardwareProfiles["desktop-30b-a3b"]);
    const one = mixture.predictMs(decode(1));
    const many = mixture.predictMs({ numTokens: 64, numKvTokens: 64, numAttended: 64 });
    // 8 of 128 experts, 1.9 of 29 billion weights, beside 1.2 billion that every token meets.
    expect(one).toBeCloseTo(1 + ((0.907 + 1.812 + 0.311) * 0.5625e9) / 100e6, 0);
    expect(many).toBeGreaterThan(9 * one);
    expect(many).toBeLessThan(1 + (31 * 0.5625e9) / 100e6);
  });
});

describe("measured costs", () => {
  const { model } = hardwareProfiles["desktop-1.7b"];
  const gpu = {
    ...{ planMs: 2, rowMs: 1, tileMs: 10, attendedMs: 0.01, spread: [1] },
    ...{ gapMs: 0, hostMs: 1, readbackMs: 5 },
  };
  const costs = hardwareCosts({ gpu, model });
  const ms = (numTokens: number) =>
    costs.predictMs({ numTokens, numKvTokens: 100, numAttended: 200 });

  test("go by rows up to 16 tokens and by tiles of 32 above", () => {
    expect([1, 16, 17, 32, 33, 64].map(ms)).toEqual([5, 20, 14, 14, 24, 24]);
  });

  test("of a share of the layers are that share, and the plan's own", () => {
    const work = { numTokens: 40, numKvTokens: 100, numAttended: 200 };
    expect(partsMs(costs, [{ work, share: 0.25 }])).toBeCloseTo(2 + 0.25 * 22, 9);
  });
});

describe("a file", () => {
  const profile = hardwareProfiles["desktop-30b-a3b"];
  const { gpu, model } = profile;
  const { numExperts, numActiveExperts, ...dense } = model;

  test("gives the profile it holds", () => {
    expect(readHardware(JSON.stringify(profile))).toEqual(profile);
    const streamed = hardwareProfiles["desktop-30b-a3b-streamed"];
    expect(readHardware(JSON.stringify(streamed))).toEqual(streamed);
    expect(readHardware(JSON.stringify({ gpu, model: dense })).model).toEqual(dense);
  });

  test.each<[unknown, RegExp]>([
    [[], /the profile is \[\]; it must be a JSON object with gpu, model, streaming/],
    [{ gpu }, /model is missing; it must be a JSON object with numLayers/],
    [
      { ...profile, cpu: 1 },
      /a key of the profile is "cpu"; it must be one of gpu, model, streaming/,
    ],
    [
      { ...profile, streaming: { residentExperts: 2, gbPerS: 1 } },
      /residentExperts is 2; .*0 to 1/,
    ],
    [{ gpu, model: dense, streaming: { residentExperts: 0, gbPerS: 1 } }, /model has no experts/],
    [{ model, gpu: { ...gpu, gbPerS: 0 } }, /gpu.gbPerS is 0; it must be a number above 0/],
    [{ model, gpu: { ...gpu, readbackMs: -1 } }, /gpu.readbackMs is -1; .*a number of 0 or more/],
    [{ model, gpu: { ...gpu, bandwidth: 1 } }, /a key of gpu is "bandwidth"/],
    [{ gpu, model: { ...model, numLayers: 1.5 } }, /model.numLayers is 1.5; .*a whole number/],
    [{ gpu, model: { ...model, headSize: undefined } }, /model.headSize is missing/],
    [{ gpu, model: { ...dense, numExperts } }, /model.numActiveExperts is missing/],
    [{ gpu, model: { ...model, numActiveExperts: 200 } }, /numActiveExperts is 200; .* at most/],
  ])("refuses %j", (value, message) => {
    expect(() => readHardware(JSON.stringify(value))).toThrow(message);
  });

  const measured = {
    ...{ planMs: 2, rowMs: 1, tileMs: 10, attendedMs: 0.01, spread: [0.5, 1.5] },
    ...{ gapMs: 0, hostMs: 1, readbackMs: 5 },
  };

  test("gives a profile that was measured", () => {
    expect(readHardware(JSON.stringify({ gpu: measured, model }))).toEqual({
      gpu: measured,
      model,
    });
  });

  test.each<[unknown, RegExp]>([
    [{ ...measured, gbPerS: 1 }, /a key of gpu is "gbPerS"; it must be one of planMs, rowMs/],
    [{ ...measured, tileMs: -1 }, /gpu.tileMs is -1; it must be a number of 0 or more/],
    [{ ...measured, hostMs: undefined }, /gpu.hostMs is missing/],
    [{ ...measured, spread: undefined }, /gpu.spread is missing; it must be a list of numbers/],
    [{ ...measured, spread: [] }, /gpu.spread is \[\]/],
    [
      { ...measured, spread: [1, 0] },
      /gpu.spread is \[1,0\]; it must be a list of numbers above 0/,
    ],
  ])("refuses measured %j", (gpu, message) => {
    expect(() => readHardware(JSON.stringify({ gpu, model }))).toThrow(message);
  });

  test("refuses what is not JSON", () => {
    expect(() => readHardware("gbPerS: 100")).toThrow(/the file is "gbPerS: 100"; it must be JSON/);
  });
});
