/** What plans of a model cost, before one has run: bytes and FLOPs from its headers. */
import { LearnedCosts, type RooflineProfile } from "../scheduler/index.ts";
import type { ModelPlan } from "./load-model.ts";

/**
 * A slow integrated GPU. The first plan that is measured corrects it, on any device; too slow, it
 * makes that plan a small one, while too fast would make it stall a page.
 */
const UNKNOWN_DEVICE = { bytesPerSecond: 10e9, flopsPerSecond: 100e9, overheadMs: 1 };

export const planCosts = (plan: ModelPlan): LearnedCosts => new LearnedCosts(profile(plan));

function profile({ spec, weights, weightBytes, kv }: ModelPlan): RooflineProfile {
  const numLayers = spec.layers.length;
  const numWeights = weights.reduce(
    (sum, { dtype, sizeBytes }) => sum + sizeBytes / (dtype === "f32" ? 4 : 2),
    0,
  );
  return {
    ...UNKNOWN_DEVICE,
    weightBytes,
    kvBytesPerToken: (kv.blockBytes * numLayers) / kv.blockTokens,
    flopsPerToken: 2 * numWeights,
    flopsPerAttended: 4 * spec.numHeads * spec.headDim * numLayers,
  };
}
