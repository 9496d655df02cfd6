// How tokens choose experts, written down by hand for each kind of router: what `chooseExperts` says
// and what the kernel computes, on every device.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { route, routeDims, routerKind } from "../../kernels/route.ts";
import { chooseExperts, NO_EXPERT, type RouterSpec } from "../../kernels/router.ts";
import type { Device } from "../../runtime/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { openDevice } from "../harness/device.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice("full");
});
afterAll(() => device.destroy());

interface Case {
  readonly name: string;
  readonly router: RouterSpec;
  readonly logits: readonly number[];
  readonly bias?: readonly number[];
  readonly ids: readonly number[];
  readonly weights: readonly number[];
}

const softmax = { score: "softmax", choiceBias: false, scale: 1 } as const;
const sigmoid = { score: "sigmoid", choiceBias: true, scale: 1 } as const;
const half = 1 / (1 + Math.exp(-1));
/** e to the x. */
const e = Math.exp;

const cases: readonly Case[] = [
  {
    name: "mixtral: the softmax of the best two, as if there were no others",
    router: { ...softmax, experts: 4, chosen: 2, renormaliseEps: 0 },
    logits: [1, 3, -2, 2],
    ids: [1, 3],
    weights: [e(1) / (e(1) + 1), 1 / (e(1) + 1)],
  },
  {
    name: "qwen2_moe without renormalisation: shares of all experts",
    router: { ...softmax, experts: 4, chosen: 2 },
    logits: [1, 3, -2, 2],
    ids: [1, 3],
    weights: [3, 2].map((logit) => e(logit) / (e(1) + e(3) + e(-2) + e(2))),
  },
  {
    name: "a tie goes to the lowest index",
    router: { ...softmax, experts: 6, chosen: 3, renormaliseEps: 0 },
    logits: [0, 2, 1, 2, 2, 2],
    ids: [1, 3, 4],
    weights: [1 / 3, 1 / 3, 1 / 3],
  },
  {
    name: "logits rank experts whose shares are the same number",
    router: { ...softmax, experts: 4, chosen: 3, renormaliseEps: 0 },
    logits: [-200, 0, -150, -160],
    ids: [1, 2, 3],
    weights: [1, 0, 0],
  },
  {
    name: "every expert chosen",
    router: { ...softmax, experts: 2, chosen: 2 },
    logits: [0, 0],
    ids: [0, 1],
    weights: [0.5, 0.5],
  },
  {
    name: "deepseek_v3: the bias chooses and does not weigh",
    router: { ...sigmoid, experts: 4, chosen: 2, renormaliseEps: 1e-20, scale: 2.5 },
    logits: [1, 0, 0, -1],
    bias: [-1, 0, 0.25, 1],
    ids: [3, 2],
    weights: [1 - half, 0.5].map((score) => (2.5 * score) / (1.5 - half)),
  },
  {
    name: "lfm2_moe: a larger eps in the divisor",
    router: { ...sigmoid, experts: 2, chosen: 1, renormaliseEps: 1e-6 },
    logits: [0, 1],
    bias: [0, 0],
    ids: [1],
    weights: [half / (half + 1e-6)],
  },
  {
    name: "deepseek_v2: only experts of the groups with the best expert",
    router: {
      ...{ ...softmax, experts: 6, chosen: 2, renormaliseEps: 0 },
      groups: { count: 3, kept: 1, stat: "max" },
    },
    logits: [3, 3, 4, -5, 2, 2],
    ids: [2, 3],
    weights: [1 / (1 + e(-9)), e(-9) / (1 + e(-9))],
  },
  {
    name: "deepseek_v3: the best groups by the sum of two",
    router: {
      ...{ ...sigmoid, experts: 6, chosen: 2 },
      groups: { count: 3, kept: 1, stat: "top2sum" },
    },
    logits: [1, 1, 2, -5, 0, 0],
    bias: [0, 0, 0, 0, 0, 0],
    ids: [0, 1],
    weights: [half, half],
  },
  {
    name: "groups that tie: the lowest index",
    router: {
      ...{ ...sigmoid, experts: 6, chosen: 2 },
      groups: { count: 3, kept: 1, stat: "top2sum" },
    },
    logits: [0, 0, 0, 0, 0, 0],
    bias: [0, 0, 0.5, 0, 0, 0.5],
    ids: [2, 3],
    weights: [0.5, 0.5],
  },
  {
    // A closed group that counted as 0 would beat these.
    name: "negative scores stay above those of closed groups",
    router: {
      ...{ ...sigmoid, experts: 6, chosen: 2 },
      groups: { count: 3, kept: 1, stat: "top2sum" },
    },
    logits: [0, 0, 0, 0, 0, 0],
    bias: [-3, -3, -2, -2, -4, -1],
    ids: [2, 3],
    weights: [0.5, 0.5],
  },
  {
    name: "longcat: identity experts keep their weight and have no matrix",
    router: {
      score: "softmax",
      choiceBias: true,
      experts: 4,
      chosen: 3,
      scale: 6,
      identityFrom: 2,
    },
    logits: [0, 0, 0, 0],
    bias: [0, 0.25, 0.5, 0],
    ids: [NO_EXPERT, 1, 0],
    weights: [1.5, 1.5, 1.5],
  },
];

describe.each(cases)("$name", ({ router, logits, bias, ids, weights }) => {
  test("in the plain meaning", () => {
    const choice = chooseExperts(router, Float32Array.from(logits), bias);
    const { identityFrom = router.experts } = router;
    expect(choice.ids.map((id) => (id < identityFrom ? id : NO_EXPERT))).toEqual(ids);
    for (const [j, weight] of weights.entries()) expect(choice.weights[j]).toBeCloseTo(weight, 6);
  });

  test("in the kernel", async () => {
    const inputs = () => ({
      logits: Float32Array.from(logits),
      ...(bias && { choice_bias: Float32Array.from(bias) }),
    });
    const dims = routeDims(router, 1, logits.length);
    const { problem, outputs } = await runProbe(device, route(routerKind(router)), {
      dims,
      inputs,
    });
    expect(problem).toBe("");
    expect([...new Uint32Array(outputs.ids!.slice().buffer)]).toEqual(ids);
    const found = new Float32Array(outputs.weights!.slice().buffer);
    for (const [j, weight] of weights.entries()) expect(found[j]).toBeCloseTo(weight, 5);
  });
});
