// Which sublayers are left out, where every loss is known beforehand.

import { expect, test } from "vitest";
import type { LayerPlanSpec } from "../../../models/layer-plan.ts";
import {
  greedyRemoval,
  type Removal,
  type RemovalOptions,
} from "../../../runtime/calibration/greedy-removal.ts";
import { planWithout, sublayersOf } from "../../../runtime/calibration/sublayers.ts";

/** KL of a plan is the sum of what its sublayers are worth: attention of layer i i + 1, its MLP ten times that. */
function worth({ skip = [], skipAttention = [], skipMlp = [] }: LayerPlanSpec): number {
  const attention = [...skip, ...skipAttention].map((layer) => layer + 1);
  const mlp = [...skip, ...skipMlp].map((layer) => 10 * (layer + 1));
  return [...attention, ...mlp].reduce((sum, value) => sum + value, 0);
}

async function remove(options: Partial<RemovalOptions>) {
  const plans: LayerPlanSpec[] = [];
  const measure = async (plan: LayerPlanSpec) => {
    plans.push(plan);
    return { kl: worth(plan), top1Agreement: 1 };
  };
  const removals: Removal[] = [];
  const given = { candidates: sublayersOf(4), width: 8, maxRemoved: 8, maxKl: 1000, ...options };
  for await (const removal of greedyRemoval({ ...given, measure })) removals.push(removal);
  return { removals, plans };
}

test("the sublayer that is missed least goes first, then the next", async () => {
  const { removals, plans } = await remove({ maxRemoved: 5 });
  const names = removals.at(-1)!.removed.map(({ kind, layer }) => `${kind} ${layer}`);
  const attention = [0, 1, 2, 3].map((layer) => `attention ${layer}`);
  expect(names).toEqual([...attention, "mlp 0"]);
  expect(removals.map(({ kl }) => kl)).toEqual([1, 3, 6, 10, 20]);
  expect(plans).toHaveLength(8 + 7 + 6 + 5 + 4);
});

test("ends before it costs more than it may", async () => {
  const { removals } = await remove({ maxKl: 9 });
  expect(removals.map(({ kl }) => kl)).toEqual([1, 3, 6]);
});

test("a narrow search comes to candidates that the prior had last, and tries few at a time", async () => {
  const candidates = sublayersOf(4).reverse();
  const { removals, plans } = await remove({ candidates, width: 2, maxRemoved: 7 });
  expect(plans).toHaveLength(7 * 2);
  expect(removals.at(-1)!.removed).toContainEqual({ kind: "attention", layer: 0 });
});

test("candidates that run out end it", async () => {
  const { removals } = await remove({ candidates: sublayersOf(1) });
  expect(removals).toHaveLength(2);
  expect(planWithout(removals[1].removed)).toEqual({ skip: [0] });
});

test("a plan names whole layers as such, in order", () => {
  const [a0, m0, a1, m1, a2] = sublayersOf(3);
  expect(planWithout([a2, m1, a0, m0, a1])).toEqual({ skip: [0, 1], skipAttention: [2] });
  expect(planWithout([m1])).toEqual({ skipMlp: [1] });
  expect(planWithout([])).toEqual({});
});
