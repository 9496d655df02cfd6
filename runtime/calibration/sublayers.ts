/** Sublayers as the unit of what is left out: attention and MLP of each layer, one by one. */
import type { LayerPlanSpec } from "../../models/layer-plan.ts";

export interface Sublayer {
  readonly kind: "attention" | "mlp";
  readonly layer: number;
}

/** In the order that a row runs them. */
export const sublayersOf = (numLayers: number): Sublayer[] =>
  Array.from({ length: 2 * numLayers }, (_, i) => ({
    kind: i % 2 === 0 ? "attention" : "mlp",
    layer: Math.floor(i / 2),
  }));

/** The plan that leaves them out and runs all others once; layers ascend. */
export function planWithout(left: readonly Sublayer[]): LayerPlanSpec {
  const layersOf = (kind: Sublayer["kind"]) =>
    left.filter((sublayer) => sublayer.kind === kind).map(({ layer }) => layer);
  const [attention, mlp] = [layersOf("attention"), layersOf("mlp")].map((layers) =>
    layers.sort((a, b) => a - b),
  );
  const skip = attention.filter((layer) => mlp.includes(layer));
  const skipAttention = attention.filter((layer) => !skip.includes(layer));
  const skipMlp = mlp.filter((layer) => !skip.includes(layer));
  return {
    ...(skip.length > 0 && { skip }),
    ...(skipAttention.length > 0 && { skipAttention }),
    ...(skipMlp.length > 0 && { skipMlp }),
  };
}
