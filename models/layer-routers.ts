/**
 * Routers of layers: a small network for each layer that skips it, runs it or runs it twice for a
 * sequence, by the means of the prompt's rows as they enter it. Names of tensors and calls; the decision
 * stays on the GPU until the host learns it with the prompt's first token.
 * @see Dr.LLM, arXiv:2510.12773; tensors as in parameterlab/dr-llm.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { LAYER_DECISIONS, layerRouter, ROUTER_WIDTH } from "../kernels/layer-router.ts";
import { numWindows, windowMeans } from "../kernels/window-means.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { LayerPlanSpec } from "./layer-plan.ts";
import { layerWeight, vector, type WeightSpec } from "./weight-spec.ts";
import type { Weight } from "./weights.ts";

/** The first tensor: whoever has it has routers. */
export const FIRST_ROUTER_TENSOR = "model.routers.0.linear1.weight";

export function layerRouterWeights({ layers, hiddenSize: D }: DecoderSpec): WeightSpec[] {
  const classes = LAYER_DECISIONS.length;
  return [...layers.keys()].flatMap((layer) => {
    const matrix = (
      name: string,
      tensor: string,
      shape: readonly [number, number],
    ): WeightSpec => ({
      ...vector(layerWeight(layer, name), [["", shape[0] * shape[1]]]),
      parts: [{ tensor: `model.routers.${layer}.${tensor}.weight`, shape }],
    });
    const bias = (name: string, tensor: string, size: number): WeightSpec =>
      vector(layerWeight(layer, name), [[`model.routers.${layer}.${tensor}.bias`, size]]);
    return [
      matrix("layer_router_in", "linear1", [ROUTER_WIDTH, D]),
      bias("layer_router_in_bias", "linear1", ROUTER_WIDTH),
      matrix("layer_router_out", "linear2", [classes, ROUTER_WIDTH]),
      bias("layer_router_out_bias", "linear2", classes),
    ];
  });
}

export interface LayerRouterBuffers {
  /** [D,8] */
  readonly means: BufferSlice;
  /** [L] u32, [L,3] f32 */
  readonly decisions: BufferSlice;
  readonly logits: BufferSlice;
  weight(name: string): Weight;
}

/** What decides of a layer, whose input the rows hold. */
export function decideLayer(
  { hiddenSize: D, layers }: DecoderSpec,
  { means, decisions, logits, weight }: LayerRouterBuffers,
  layer: number,
  rows: { readonly hidden: BufferSlice; readonly T: number; readonly n: number },
): KernelCall[] {
  const slice = (name: string) => weight(layerWeight(layer, name)).shards[0].slice;
  const label = `layer ${layer} router`;
  return [
    {
      kernel: windowMeans,
      buffers: { x: rows.hidden, out: means },
      dims: { T: rows.T, first_row: 0, n: rows.n, D },
      label,
    },
    {
      kernel: layerRouter,
      buffers: {
        ...{ means, decisions, logits },
        ...{ weight_in: slice("layer_router_in"), bias_in: slice("layer_router_in_bias") },
        ...{ weight_out: slice("layer_router_out"), bias_out: slice("layer_router_out_bias") },
      },
      dims: { W: numWindows(rows.n), D, S: layers.length, slot: layer },
      label,
    },
  ];
}

/** @param decisions Numbers of `LAYER_DECISIONS`, by layer. */
export function decidedPlan(decisions: ArrayLike<number>): LayerPlanSpec {
  const layers = Array.from(decisions, (decision, layer) => ({ decision, layer }));
  const of = (wanted: (typeof LAYER_DECISIONS)[number]) =>
    layers.filter(({ decision }) => LAYER_DECISIONS[decision] === wanted).map(({ layer }) => layer);
  return { skip: of("skip"), repeat: of("repeat") };
}
