/**
 * Before which layers tokens may leave off, and from which confidence on, so that few become others than the
 * whole model says. What a token would say there is what a plan without the layers behind says of it.
 */
import type { LayerPlanSpec } from "../../models/layer-plan.ts";
import type { MeasuredExit } from "../layer-plan-file.ts";
import { type ExitSample, exitThreshold } from "./hoeffding.ts";
import { argmax, confidence, divergence } from "./likeliest.ts";
import type { Fidelity, Yardstick } from "./yardstick.ts";

/** Of tokens that leave off before a layer, one in a hundred may disagree; 0.05 that this is wrong. */
const TARGET = { epsilon: 0.01, delta: 0.05 };

export interface MeasuredExits extends Fidelity {
  readonly exits: readonly MeasuredExit[];
  /** By a token of the held-out text. */
  readonly layersExecuted: number;
}

export interface ExitTexts {
  /** What thresholds are chosen by, and what they are judged by. */
  readonly chosenBy: readonly Yardstick[];
  readonly heldOut: Yardstick;
}

/** @returns Undefined where no layer has a threshold. */
export async function measuredExits(
  { chosenBy, heldOut }: ExitTexts,
  layers: readonly number[],
  numLayers: number,
  report: (done: number, total: number) => void,
): Promise<MeasuredExits | undefined> {
  const exits: MeasuredExit[] = [];
  report(0, layers.length);
  for (const [i, layer] of layers.entries()) {
    const samples: ExitSample[] = [];
    for (const yardstick of chosenBy)
      await yardstick.visit(without(layer, numLayers), (whole, logits) => {
        samples.push({ confidence: confidence(logits), agrees: argmax(logits) === whole.top });
      });
    const found = exitThreshold(samples, TARGET);
    if (found) {
      const { threshold, disagreement } = found;
      // Who is less than half sure leaves nothing off: such a layer is none to ask at.
      exits.push({ layer, threshold: Math.max(0.5, threshold), disagreement });
    }
    report(i + 1, layers.length);
  }
  if (exits.length === 0) return undefined;
  const left = new Set<number>();
  let [kl, agreeing, executed] = [0, 0, 0];
  for (const { layer, threshold } of exits)
    await heldOut.visit(without(layer, numLayers), (whole, logits, token) => {
      if (left.has(token) || confidence(logits) < threshold) return;
      left.add(token);
      kl += divergence(whole, logits);
      agreeing += argmax(logits) === whole.top ? 1 : 0;
      executed += layer;
    });
  const { numTokens } = heldOut;
  const staying = numTokens - left.size;
  return {
    exits,
    kl: kl / numTokens,
    top1Agreement: (agreeing + staying) / numTokens,
    layersExecuted: (executed + staying * numLayers) / numTokens,
  };
}

/** All layers from this one on. */
const without = (layer: number, numLayers: number): LayerPlanSpec => ({
  skip: Array.from({ length: numLayers - layer }, (_, i) => layer + i),
});
