// What a layer policy of a request is refused for: each says what, and what would do.

import { expect, test } from "vitest";
import { type LayerPlanSpec, withLayerPlans } from "../../models/layer-plan.ts";
import { readDecoderSpec } from "../../models/registry.ts";
import { LayerPolicies } from "../../runtime/layer-policies.ts";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";

const sizes = {
  ...{ hidden_size: 64, max_position_embeddings: 512, intermediate_size: 64 },
  ...{ num_attention_heads: 2, num_hidden_layers: 4, vocab_size: 100 },
};
const configs = {
  plain: { ...sizes, model_type: "llama" },
  windows: {
    ...sizes,
    ...{ model_type: "qwen2", use_sliding_window: true, sliding_window: 20, max_window_layers: 2 },
  },
  convolutions: {
    ...{ ...sizes, model_type: "lfm2", num_key_value_heads: 2, norm_eps: 1e-5 },
    ...{ conv_L_cache: 3, conv_bias: false, block_auto_adjust_ff_dim: false, rope_theta: 1e4 },
    layer_types: ["conv", "full_attention", "conv", "full_attention"],
  },
};

const specs = {
  plain: await readDecoderSpec(configs.plain),
  windows: await readDecoderSpec(configs.windows),
  convolutions: await readDecoderSpec(configs.convolutions),
};

function resolve(
  policy: object,
  of: keyof typeof configs = "plain",
  layerPlans: readonly LayerPlanSpec[] = [],
) {
  const spec = withLayerPlans(specs[of], layerPlans);
  const policies = new LayerPolicies({ spec, maxDraftTokens: 8, isRouted: false });
  return policies.resolve(policy as LayerPolicy);
}

const temporal = (rest: object) => ({ name: "temporal", plan: { skip: [1] }, ...rest });

test.each<[RegExp, object, (keyof typeof configs)?]>([
  [/name "fast", it must be static, routers, temporal, early-exit/, { name: "fast" }],
  [/static has period; it takes plan/, { name: "static", plan: {}, period: 4 }],
  [/a layer plan is undefined; write an object/, { name: "static" }],
  [/needs an engine with layerRouters/, { name: "routers" }],
  [/period of layerPolicy temporal is 1; give a whole number from 2 on/, temporal({ period: 1 })],
  [/period of layerPolicy temporal is 4.5/, temporal({ period: 4.5 })],
  [/cache of layerPolicy temporal is "none"; it is "fill" or "hole"/, temporal({ cache: "none" })],
  [/a layer plan is undefined; write an object/, temporal({ plan: undefined })],
  [
    /for some of the tokens repeats layers; leave layers out only/,
    temporal({ plan: { repeat: [1] } }),
  ],
  [
    /holes in layer 1, which shares its cache with layer 0; name the plan/,
    temporal({ cache: "hole" }),
  ],
  [/exits are \[0\]; list layers of 1 to 3/, { name: "early-exit", exits: [0] }],
  [/exits are \[2,1\]; .*rising/, { name: "early-exit", exits: [2, 1] }],
  [/exits are 3; list layers/, { name: "early-exit", exits: 3 }],
  [/threshold of exits is 0; give a probability above 0/, { name: "early-exit", threshold: 0 }],
  [/threshold of exits is 90/, { name: "early-exit", threshold: 90 }],
  [
    /before the convolution of layer 2.*exits begin behind layer 2/,
    { name: "early-exit", exits: [1] },
    "convolutions",
  ],
  [
    /holes in layer 3, whose window counts tokens; leave its attention in, or choose cache: "fill"/,
    temporal({ plan: { skip: [3] }, cache: "hole" }),
    "windows",
  ],
  [
    /leaves out the convolution of layer 2, which needs every token; leave it in/,
    temporal({ plan: { skip: [2] } }),
    "convolutions",
  ],
])("%s", (message, policy, of) => {
  expect(() => resolve(policy, of)).toThrow(message);
});

test("turns: every fourth token runs all by default, and the others fill in", () => {
  const { alternation, layerPlan, lossy } = resolve(temporal({}));
  expect({ layerPlan, lossy, period: alternation?.period }).toEqual({ lossy: true, period: 4 });
  const { runs, fills, keeps } = alternation!.layerPlan;
  // Embedding, attention and MLP of four layers, head.
  expect(runs.map(Number).join("")).toBe("1110011111");
  expect(fills?.map(Number).join("")).toBe("0001000000");
  expect(keeps).toEqual([true]);
});

test("tokens behind the first of an answer may leave off at 70, 80 and 90 % of the layers", () => {
  const { alternation, lossy } = resolve({ name: "early-exit" });
  expect({ lossy, period: alternation?.period }).toEqual({ lossy: true, period: Infinity });
  const { runs, keeps, exits } = alternation!.layerPlan;
  expect(runs).not.toContain(false);
  expect(keeps).toEqual([true]);
  // Of four layers, before the last; attention of layer l is stage 2l + 1.
  expect(exits).toEqual({ layers: [3], stages: [7], thresholds: [0.95], together: false });
});

test("holes are left in block tables of their own", () => {
  const plan = { skip: [1] };
  const { alternation } = resolve(temporal({ plan, cache: "hole" }), "plain", [plan]);
  expect(alternation!.layerPlan.keeps).toEqual([true, false]);
  expect(alternation!.layerPlan.fills).toBeUndefined();
});
