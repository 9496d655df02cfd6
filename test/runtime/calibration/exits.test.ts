// Where tokens may leave off, from texts of which it is known what each layer would say.

import { expect, test } from "vitest";
import type { LayerPlanSpec } from "../../../models/layer-plan.ts";
import { type ExitTexts, measuredExits } from "../../../runtime/calibration/exits.ts";
import { likeliest } from "../../../runtime/calibration/likeliest.ts";

const NUM_LAYERS = 10;
/** Logits of two ids, of which the first is as likely as that. */
const logitsOf = (probability: number) =>
  Float32Array.of(Math.log(probability / (1 - probability)), 0);
const WHOLE = likeliest(logitsOf(0.999));

/** Of tokens that are said to be the whole model's, or another, with some confidence. */
type Said = readonly { readonly sure: number; readonly agrees: boolean }[];

/** @param said By the layer before which a token is asked. */
function text(said: Readonly<Record<number, Said>>, numTokens: number): ExitTexts["heldOut"] {
  const visit = async (
    plan: LayerPlanSpec,
    see: (whole: typeof WHOLE, logits: Float32Array, token: number) => void,
  ) => {
    const [layer] = plan.skip!;
    expect(plan.skip).toEqual([...Array(NUM_LAYERS).keys()].slice(layer));
    said[layer].forEach(({ sure, agrees }, token) => {
      see(WHOLE, logitsOf(agrees ? sure : 1 - sure), token);
    });
  };
  return { visit, numTokens } as unknown as ExitTexts["heldOut"];
}

const many = (count: number, sure: number, agrees: boolean): Said =>
  Array.from({ length: count }, () => ({ sure, agrees }));
const report = () => {};

test("a layer's threshold is that above which tokens say what the whole model says", async () => {
  const chosenBy = text(
    {
      // Right where it is very sure, and as often as not elsewhere.
      7: [...many(900, 0.995, true), ...many(300, 0.8, true), ...many(300, 0.8, false)],
      // Right wherever it is more sure than not.
      9: [...many(1000, 0.6, true), ...many(500, 0.995, true)],
    },
    1500,
  );
  const heldOut = text(
    { 7: [...many(4, 0.995, true), ...many(6, 0.8, true)], 9: many(10, 0.7, true) },
    10,
  );
  const texts = { chosenBy: [chosenBy], heldOut };
  const found = (await measuredExits(texts, [7, 9], NUM_LAYERS, report))!;
  expect(found.exits.map(({ layer }) => layer)).toEqual([7, 9]);
  const [first, second] = found.exits;
  expect(first.threshold).toBeGreaterThan(0.8);
  expect(first.threshold).toBeLessThanOrEqual(0.995);
  expect(second.threshold).toBeLessThanOrEqual(0.6);
  for (const { disagreement } of found.exits) expect(disagreement).toBeLessThanOrEqual(0.01);
  // Four of ten leave before layer 7, the others before layer 9.
  expect(found.layersExecuted).toBeCloseTo((4 * 7 + 6 * 9) / 10, 10);
  expect(found.top1Agreement).toBe(1);
  expect(found.kl).toBeGreaterThan(0);
});

test("a layer that is often wrong however sure it is, is none to leave off before", async () => {
  const wrong = [...many(900, 0.999, true), ...many(100, 0.999, false)];
  const texts = { chosenBy: [text({ 7: wrong }, 1000)], heldOut: text({}, 10) };
  expect(await measuredExits(texts, [7], NUM_LAYERS, report)).toBeUndefined();
});

test("few tokens prove nothing", async () => {
  const texts = { chosenBy: [text({ 7: many(100, 0.99, true) }, 100)], heldOut: text({}, 10) };
  expect(await measuredExits(texts, [7], NUM_LAYERS, report)).toBeUndefined();
});
