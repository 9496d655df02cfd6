// A mixture of experts in the types of a Q4_K_M file, gates and values in Q4_K and outputs in Q6_K, gives
// the logits of a folder that has the values which its blocks decode to.

import { expect, test } from "vitest";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { blobFolder } from "../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { toFloat32 } from "../../runtime/weights/dtype.ts";
import { ggufNames } from "../../runtime/weights/gguf-names.ts";
import { GGUF_DTYPES, TENSOR_TYPES } from "../../runtime/weights/gguf-types.ts";
import { ggufFile, scalar, text, type WrittenTensor } from "../runtime/weights/gguf-file.ts";
import { generator } from "../runtime/weights/random.ts";
import { bytesOf, safetensorsFile, type TensorSpec } from "../runtime/weights/safetensors-file.ts";
import { expectSame } from "./expect-same.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

/** K-quants have blocks of 256. */
const D = 256;
const F = 256;
const E = 4;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = D / HEADS;
const VOCAB = 96;

const layer = "model.layers.0";
const TENSORS: readonly (readonly [name: string, type: string, ...shape: number[]])[] = [
  ["model.embed_tokens.weight", "Q6_K", VOCAB, D],
  ["model.norm.weight", "F32", D],
  [`${layer}.input_layernorm.weight`, "F32", D],
  [`${layer}.post_attention_layernorm.weight`, "F32", D],
  [`${layer}.self_attn.q_proj.weight`, "Q4_K", D, D],
  [`${layer}.self_attn.k_proj.weight`, "Q4_K", KV_HEADS * HEAD, D],
  [`${layer}.self_attn.v_proj.weight`, "Q6_K", KV_HEADS * HEAD, D],
  [`${layer}.self_attn.o_proj.weight`, "Q4_K", D, D],
  [`${layer}.self_attn.q_norm.weight`, "F32", HEAD],
  [`${layer}.self_attn.k_norm.weight`, "F32", HEAD],
  [`${layer}.mlp.gate.weight`, "F32", E, D],
  [`${layer}.mlp.experts.gate_up_proj`, "Q4_K", E, 2 * F, D],
  [`${layer}.mlp.experts.down_proj`, "Q6_K", E, D, F],
];

function model() {
  const random = generator(7);
  const written: WrittenTensor[] = [];
  const data: number[] = [];
  const folder: Record<string, TensorSpec> = {};
  for (const [name, type, ...shape] of TENSORS) {
    const isMatrix = shape.length > 1;
    const count = shape.reduce((product, size) => product * size);
    const values = Float32Array.from({ length: count }, () => {
      const value = random(1001) / 1000;
      return isMatrix ? (value - 0.5) / 4 : 0.5 + value;
    });
    const format = weightFormats[GGUF_DTYPES.get(type)!];
    const bytes = format.encode(values);
    folder[name] = { dtype: "F32", shape, bytes: bytesOf(toFloat32(bytes, format.name)) };
    const names = ggufNames(name, "qwen3moe");
    const half = bytes.length / E / 2;
    names.forEach((own, index) => {
      // Gates and values of an expert lie below each other.
      const part =
        names.length === 1 ? bytes : bytes.filter((_, i) => Math.floor(i / half) % 2 === index);
      const dims = names.length === 1 ? shape : [E, F, D];
      const id = [...TENSOR_TYPES].find(([, { name }]) => name === type)![0];
      written.push({ name: own, dims: dims.toReversed(), type: id, offset: data.length });
      for (const byte of part) data.push(byte);
      while (data.length % 32 !== 0) data.push(0);
    });
  }
  const keys = {
    context_length: 512,
    embedding_length: D,
    block_count: 1,
    feed_forward_length: F,
    expert_feed_forward_length: F,
    expert_count: E,
    expert_used_count: 2,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
  };
  const file = ggufFile({
    pairs: [
      ["general.architecture", text("qwen3moe")],
      ["qwen3moe.attention.layer_norm_rms_epsilon", scalar("f32", 1e-6)],
      ...Object.entries(keys).map(
        ([key, value]) => [`qwen3moe.${key}`, scalar("u32", value)] as const,
      ),
    ],
    tensors: written,
    data: Uint8Array.from(data),
  });
  const config = {
    ...{ model_type: "qwen3_moe", hidden_size: D, intermediate_size: F, num_hidden_layers: 1 },
    ...{ num_attention_heads: HEADS, num_key_value_heads: KV_HEADS, head_dim: HEAD },
    ...{ max_position_embeddings: 512, rms_norm_eps: 1e-6, vocab_size: VOCAB },
    ...{ num_experts: E, num_experts_per_tok: 2, moe_intermediate_size: F, norm_topk_prob: true },
    tie_word_embeddings: true,
  };
  return {
    fromGguf: openModelFolder(new Blob([file])),
    fromFolder: blobFolder(
      new Map([
        ["config.json", new Blob([JSON.stringify(config)])],
        ["model.safetensors", new Blob([safetensorsFile(folder)])],
      ]),
    ),
  };
}

test("Q4_K_M", async () => {
  const { fromGguf, fromFolder } = model();
  const ids = [1, 90, 7, 64, 3, 12, 31];
  const [actual, expected] = await Promise.all(
    [fromGguf, fromFolder].map(async (folder) =>
      logitsOf(await loadTiny(new ReferenceDevice(), folder, { kv: "f32" }), ids),
    ),
  );
  expect(actual.every(Number.isFinite)).toBe(true);
  expectSame(actual, expected);
});
