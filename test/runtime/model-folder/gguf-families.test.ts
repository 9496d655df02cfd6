// What the metadata of single architectures becomes in config.json: experts, windows, parts of heads,
// scalings; and which values are refused, since llama.cpp would compute something else.

import { describe, expect, test } from "vitest";
import { readText } from "../../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import {
  ggufFile,
  numbers,
  scalar,
  text,
  type Written,
  type WrittenTensor,
} from "../weights/gguf-file.ts";

const SIZES = {
  context_length: scalar("u32", 2048),
  embedding_length: scalar("u32", 64),
  block_count: scalar("u32", 4),
  feed_forward_length: scalar("u32", 96),
  "attention.head_count": scalar("u32", 4),
  "attention.head_count_kv": scalar("u32", 2),
  "attention.layer_norm_rms_epsilon": scalar("f32", 1e-6),
};
const EXPERTS = {
  expert_count: scalar("u32", 8),
  expert_used_count: scalar("u32", 2),
};
/** There are to be as many tensors as layers. */
const MOST_LAYERS = 62;

/** Keys without the architecture's name. */
async function configOf(
  architecture: string,
  keys: Readonly<Record<string, Written>> = {},
  lists: readonly string[] = [],
) {
  const tensors: WrittenTensor[] = [
    { name: "token_embd.weight", dims: [64, 2], type: 0, offset: 0 },
    ...Array.from({ length: MOST_LAYERS }, (_, i) => ({
      ...{ name: `blk.${i}.attn_output.weight`, dims: [8], type: 0, offset: 512 + 32 * i },
    })),
    ...lists.map((name, i) => ({ name, dims: [4], type: 0, offset: 2560 + 32 * i })),
  ];
  const pairs = Object.entries({ ...SIZES, ...keys }).map(
    ([key, value]) => [`${architecture}.${key}`, value] as const,
  );
  const file = ggufFile({
    pairs: [["general.architecture", text(architecture)], ...pairs],
    tensors,
    data: new Uint8Array(4096),
  });
  return JSON.parse(await readText(openModelFolder(new File([file], "m.gguf")), "config.json"));
}

const refusal = (...parts: Parameters<typeof configOf>) => configOf(...parts).catch((e) => e);

describe("experts", () => {
  test.each<[string, Record<string, Written>, object]>([
    ["llama", {}, { model_type: "mixtral", intermediate_size: 96, num_local_experts: 8 }],
    [
      "qwen3moe",
      { expert_feed_forward_length: scalar("u32", 32) },
      { model_type: "qwen3_moe", moe_intermediate_size: 32, norm_topk_prob: true },
    ],
    [
      "qwen2moe",
      {
        expert_feed_forward_length: scalar("u32", 32),
        expert_shared_feed_forward_length: scalar("u32", 64),
      },
      {
        model_type: "qwen2_moe",
        moe_intermediate_size: 32,
        shared_expert_intermediate_size: 64,
        norm_topk_prob: false,
        qkv_bias: false,
      },
    ],
    ["olmoe", {}, { model_type: "olmoe", intermediate_size: 96, norm_topk_prob: false }],
    ["granitemoe", {}, { model_type: "granitemoe", attention_multiplier: 0.25 }],
    [
      "granitemoe",
      { expert_shared_feed_forward_length: scalar("u32", 64) },
      { model_type: "granitemoeshared", shared_intermediate_size: 64, intermediate_size: 96 },
    ],
    [
      "gpt-oss",
      {
        expert_feed_forward_length: scalar("u32", 32),
        expert_gating_func: scalar("u32", 3),
        "attention.sliding_window": scalar("u32", 128),
      },
      { model_type: "gpt_oss", intermediate_size: 32, sliding_window: 128 },
    ],
  ])("of %s %#", async (architecture, keys, expected) => {
    expect(await configOf(architecture, { ...EXPERTS, ...keys })).toMatchObject({
      ...{ num_experts: 8, num_experts_per_tok: 2 },
      ...expected,
    });
  });

  test.each<[string, string, Record<string, Written>, RegExp]>([
    ["none", "olmoe", {}, /no metadata olmoe\.expert_count/],
    [
      "a sigmoid",
      "olmoe",
      { ...EXPERTS, expert_gating_func: scalar("u32", 2) },
      /olmoe\.expert_gating_func 2, Weft computes softmax \(1\); choose/,
    ],
    [
      "a softmax of the chosen where weights do not add up to 1",
      "olmoe",
      { ...EXPERTS, expert_gating_func: scalar("u32", 3) },
      /expert_gating_func 3/,
    ],
    [
      "weights that add up to 1",
      "olmoe",
      { ...EXPERTS, expert_weights_norm: scalar("bool", 1) },
      /expert_weights_norm true, Weft computes false/,
    ],
    [
      "scaled weights",
      "olmoe",
      { ...EXPERTS, expert_weights_scale: scalar("f32", 2.5) },
      /expert_weights_scale 2\.5/,
    ],
    [
      "groups",
      "olmoe",
      { ...EXPERTS, expert_group_count: scalar("u32", 4) },
      /expert_group_count 4, Weft computes at most 1/,
    ],
    [
      "a softmax in place of a sigmoid",
      "lfm2moe",
      { ...EXPERTS, expert_gating_func: scalar("u32", 1) },
      /lfm2moe\.expert_gating_func 1, Weft computes sigmoid \(2\)/,
    ],
    ["experts of no known size", "qwen3moe", EXPERTS, /expert_feed_forward_length; convert/],
  ])("refuses %s", async (_, architecture, keys, message) => {
    expect((await refusal(architecture, keys)).message).toMatch(message);
  });
});

describe("windows", () => {
  const types = (pattern: string) =>
    [...pattern].map((kind) => (kind === "w" ? "sliding_attention" : "full_attention"));
  const window = { "attention.sliding_window": scalar("u32", 512) };
  const period = (layers: number) => ({
    "attention.sliding_window_pattern": scalar("u32", layers),
  });
  const flags = (...values: number[]) => ({
    "attention.sliding_window_pattern": numbers("bool", values),
  });

  test.each<[string, string, Record<string, Written>, number | null, string]>([
    ["every second layer of gemma2, of 4096", "gemma2", {}, 4096, "wfwf"],
    ["every second layer of gpt-oss, of 128", "gpt-oss", EXPERTS, 128, "wfwf"],
    ["five of six layers of gemma3", "gemma3", window, 512, "wwww"],
    ["no layer of gemma3 without a size", "gemma3", {}, null, "ffff"],
    ["two of three", "gemma3", { ...window, ...period(3) }, 512, "wwfw"],
    ["all", "gemma3", { ...window, ...period(0) }, 512, "wwww"],
    ["one by one", "gemma3", { ...window, ...flags(0, 1, 1, 0) }, 512, "fwwf"],
  ])("%s", async (_, architecture, keys, size, pattern) => {
    const config = await configOf(architecture, keys);
    expect(config).toMatchObject({ sliding_window: size, layer_types: types(pattern) });
  });

  test.each<[string, string, Record<string, Written>, RegExp]>([
    ["flags of fewer layers", "gemma3", { ...window, ...flags(0, 1) }, /has 2 flags.* are 4/],
    ["a window in olmo2", "olmo2", window, /olmo2\.attention\.sliding_window 512/],
    ["a window in granite", "granite", window, /granite\.attention\.sliding_window 512/],
    ["a pattern where none is computed", "qwen3", { ...window, ...period(2) }, /window_pattern/],
  ])("refuses %s", async (_, architecture, keys, message) => {
    expect((await refusal(architecture, keys)).message).toMatch(message);
  });
});

describe("rotary embedding", () => {
  test("gemma3 has a base of its own for windows", async () => {
    expect(await configOf("gemma3", { "rope.freq_base": scalar("f32", 1e6) })).toMatchObject({
      ...{ rope_theta: 1e6, rope_local_base_freq: 10_000 },
    });
    const { message } = await refusal("gemma2", { "rope.freq_base_swa": scalar("f32", 5000) });
    expect(message).toMatch(/rope\.freq_base_swa 5000, Weft computes one base \(10000\)/);
  });

  test("phi3 rotates a part of each head, with factors from tensors", async () => {
    const keys = {
      "rope.dimension_count": scalar("u32", 8),
      "rope.scaling.original_context_length": scalar("u32", 1024),
      "rope.scaling.attn_factor": scalar("f32", 1.25),
    };
    const lists = ["rope_factors_long.weight", "rope_factors_short.weight"];
    const config = await configOf("phi3", keys, lists);
    expect(Math.floor(16 * config.partial_rotary_factor)).toBe(8);
    expect(config).toMatchObject({
      original_max_position_embeddings: 1024,
      rope_scaling: { rope_type: "longrope", attention_factor: 1.25, long_factor: [0, 0, 0, 0] },
    });
    const half = await refusal("phi3", keys, lists.slice(0, 1));
    expect(half.message).toMatch(/no tensor rope_factors_short\.weight; convert/);
    const other = await refusal("qwen3", {}, lists);
    expect(other.message).toMatch(
      /a tensor rope_factors_long\.weight, Weft computes qwen3 without/,
    );
  });

  test("granite without positions is refused", async () => {
    const keys = { "rope.scaling.finetuned": scalar("bool", 0) };
    expect((await refusal("granite", keys)).message).toMatch(/finetuned false: no positions, Weft/);
    expect(await configOf("qwen3", keys)).toMatchObject({ rope_scaling: null });
  });

  test("gpt-oss blends between pairs", async () => {
    const yarn = {
      "rope.scaling.type": text("yarn"),
      "rope.scaling.factor": scalar("f32", 32),
      "rope.scaling.original_context_length": scalar("u32", 64),
    };
    const keys = { ...EXPERTS, ...yarn, "attention.sliding_window": scalar("u32", 128) };
    const { rope_scaling } = await configOf("gpt-oss", keys);
    expect(rope_scaling).toMatchObject({ rope_type: "yarn", factor: 32, truncate: false });
    const factor = { "rope.scaling.yarn_attn_factor": scalar("f32", 1.1) };
    expect((await refusal("gpt-oss", { ...keys, ...factor })).message).toMatch(/yarn_attn_factor/);
  });
});

test.each([
  ["gemma2", 46],
  ["gemma3", MOST_LAYERS],
])("the largest %s scales its scores by hidden size and heads", async (architecture, layers) => {
  const scalarOf = async (numLayers: number) => {
    const keys = {
      "attention.key_length": scalar("u32", 32),
      "attention.value_length": scalar("u32", 32),
      block_count: scalar("u32", numLayers),
    };
    return (await configOf(architecture, keys)).query_pre_attn_scalar;
  };
  expect(await scalarOf(4)).toBe(32);
  expect(await scalarOf(layers)).toBe(16);
});
