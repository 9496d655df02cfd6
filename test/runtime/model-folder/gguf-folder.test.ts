// A GGUF file as a model folder: what its metadata becomes, what is refused, and the doors to it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ggufFolder } from "../../../runtime/model-folder/gguf-folder.ts";
import { localModel } from "../../../runtime/model-folder/local-folder.ts";
import { type ModelFolder, readText } from "../../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import { blobSource } from "../../../runtime/weights/byte-source.ts";
import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import {
  ggufFile,
  numbers,
  scalar,
  text,
  type Written,
  type WrittenTensor,
} from "../weights/gguf-file.ts";
import { type RangeServer, rangeServer } from "../weights/range-server.ts";

const LLAMA = {
  "general.architecture": text("llama"),
  "llama.context_length": scalar("u32", 2048),
  "llama.embedding_length": scalar("u32", 64),
  "llama.block_count": scalar("u32", 1),
  "llama.feed_forward_length": scalar("u32", 96),
  "llama.attention.head_count": scalar("u32", 4),
  "llama.attention.head_count_kv": scalar("u32", 2),
  "llama.attention.layer_norm_rms_epsilon": scalar("f32", 1e-6),
};
const EMBEDDING: WrittenTensor = { name: "token_embd.weight", dims: [64, 2], type: 0, offset: 0 };

const model = (
  changes: Record<string, Written | undefined> = {},
  tensors: readonly WrittenTensor[] = [],
) =>
  ggufFile({
    pairs: Object.entries<Written | undefined>({ ...LLAMA, ...changes }).flatMap(([key, value]) =>
      value ? [[key, value] as const] : [],
    ),
    tensors: [EMBEDDING, ...tensors],
    data: new Uint8Array(1024),
  });
const folderOf = (...parts: Parameters<typeof model>) =>
  openModelFolder(new File([model(...parts)], "m.gguf"));
const configOf = async (...parts: Parameters<typeof model>) =>
  JSON.parse(await readText(folderOf(...parts), "config.json"));

/** The same values for another architecture. */
const renamed = (name: string): Record<string, Written | undefined> => ({
  ...Object.fromEntries(
    Object.entries(LLAMA).flatMap(([key, value]) => [
      [key, undefined],
      [key.replace(/^llama\./, `${name}.`), value],
    ]),
  ),
  "general.architecture": text(name),
});

describe("config.json", () => {
  test("llama", async () => {
    expect(await configOf()).toMatchObject({
      model_type: "llama",
      hidden_size: 64,
      intermediate_size: 96,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      vocab_size: 2,
      max_position_embeddings: 2048,
      // Not the f32 nearest to it, 9.999999974752427e-7.
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      rope_scaling: null,
      tie_word_embeddings: true,
      attention_bias: false,
      mlp_bias: false,
    });
  });

  test("keys that are not always there", async () => {
    const tensor = (name: string, offset: number) => ({ name, dims: [8], type: 0, offset });
    const config = await configOf(
      {
        "llama.attention.head_count_kv": undefined,
        "llama.attention.key_length": scalar("u32", 32),
        "llama.attention.value_length": scalar("u32", 32),
        "llama.rope.dimension_count": scalar("u32", 32),
        "llama.rope.freq_base": scalar("f32", 5e5),
        "llama.rope.scaling.type": text("linear"),
        "llama.rope.scaling.factor": scalar("f32", 2.5),
        "llama.attention.sliding_window": scalar("u32", 512),
      },
      [
        tensor("output.weight", 512),
        tensor("blk.0.attn_q.bias", 544),
        tensor("blk.0.ffn_gate.bias", 576),
      ],
    );
    expect(config).toMatchObject({
      model_type: "mistral",
      sliding_window: 512,
      num_key_value_heads: 4,
      head_dim: 32,
      rope_theta: 500_000,
      rope_scaling: { rope_type: "linear", factor: 2.5 },
      tie_word_embeddings: false,
      attention_bias: true,
      mlp_bias: true,
    });
  });

  test.each(["qwen2", "qwen3", "smollm3"])("%s", async (name) => {
    expect(await configOf(renamed(name))).toMatchObject({ model_type: name, hidden_size: 64 });
  });

  test("granite has multipliers, each under a name of its own", async () => {
    expect(await configOf(renamed("granite"))).toMatchObject({ attention_multiplier: 0.25 });
    const config = await configOf({
      ...renamed("granite"),
      "granite.attention.scale": scalar("f32", 0.0078125),
      "granite.embedding_scale": scalar("f32", 12),
      "granite.residual_scale": scalar("f32", 0.25),
      "granite.logit_scale": scalar("f32", 8),
    });
    expect(config).toMatchObject({
      ...{ model_type: "granite", attention_multiplier: 0.0078125, embedding_multiplier: 12 },
      ...{ residual_multiplier: 0.25, logits_scaling: 8 },
    });
    // Other architectures have none, and would compute something else.
    const error = await configOf({ "llama.logit_scale": scalar("f32", 8) }).catch((e) => e);
    expect(error).toMatchObject({ code: "unsupported_model" });
  });

  const lfm2 = (kvHeads: Written): Record<string, Written | undefined> => ({
    ...renamed("lfm2"),
    "lfm2.block_count": scalar("u32", 3),
    "lfm2.attention.head_count_kv": kvHeads,
    "lfm2.shortconv.l_cache": scalar("u32", 3),
  });
  const more = ["shortconv.in_proj", "attn_norm"].map((name, i) => ({
    ...{ name: `blk.0.${name}.weight`, dims: [8], type: 0, offset: 512 + 32 * i },
  }));

  test("lfm2 convolves where a layer has no keys", async () => {
    expect(await configOf(lfm2(numbers("i32", [0, 2, 0])), more)).toMatchObject({
      ...{ model_type: "lfm2", full_attn_idxs: [1], num_key_value_heads: 2, conv_L_cache: 3 },
      ...{ intermediate_size: 96, block_auto_adjust_ff_dim: false, norm_eps: 1e-6 },
      conv_bias: false,
    });
    const refused = async (kvHeads: Written, tensors = more) =>
      (await configOf(lfm2(kvHeads), tensors).catch((error) => error)).message;
    expect(await refused(numbers("i32", [0, 2]))).toMatch(/not a list of 3 that are 0 or the same/);
    expect(await refused(numbers("i32", [1, 2, 0]))).toMatch(/0 or the same number: 1,2,0/);
    expect(await refused(scalar("u32", 2))).toMatch(/is of type u32 2, not an array of i32/);
    // Its tensors mean nothing to others.
    const other = await configOf({}, [more[0]!]).catch((error) => error);
    expect(other.message).toMatch(/a tensor blk\.0\.shortconv\.in_proj\.weight/);
  });

  test("a factor without a type is linear, as llama.cpp has it", async () => {
    const { rope_scaling } = await configOf({ "llama.rope.scale_linear": scalar("f32", 4) });
    expect(rope_scaling).toEqual({ rope_type: "linear", factor: 4 });
  });

  test("rope_freqs.weight becomes divisors", async () => {
    const divisors = { name: "rope_freqs.weight", dims: [8], type: 0, offset: 512 };
    const file = model({}, [divisors]);
    new Float32Array(file.buffer, file.length - 512, 8).set([1, 1, 1, 1.5, 2, 8, 8, 8]);
    const { rope_scaling } = JSON.parse(
      await readText(openModelFolder(new Blob([file])), "config.json"),
    );
    const expected = [1, 1, 1, 1.5, 2, 8, 8, 8];
    expect(rope_scaling).toEqual({ rope_type: "divisors", divisors: expected });
  });

  test.each<[string, Record<string, Written | undefined>, string, RegExp]>([
    [
      "no architecture",
      { "general.architecture": undefined },
      "bad_gguf",
      /no metadata general\.architecture; convert/,
    ],
    [
      "an architecture of others",
      { "general.architecture": text("bert") },
      "unsupported_model",
      /"bert", Weft computes llama, smollm3, qwen2, qwen3, lfm2, .*, gpt-oss; choose/,
    ],
    [
      "an architecture called toString",
      { "general.architecture": text("toString") },
      "unsupported_model",
      /"toString"/,
    ],
    ["no layers", { "llama.block_count": undefined }, "bad_gguf", /no metadata llama\.block_count/],
    [
      "more layers than tensors",
      { "llama.block_count": scalar("u32", 4e9) },
      "bad_gguf",
      /block_count is 4000000000, and it has 1 tensors/,
    ],
    [
      "layers in text",
      { "llama.block_count": text("1") },
      "bad_gguf",
      /is of type string, not an integer from 0 on/,
    ],
    [
      "heads by layer",
      { "llama.attention.head_count": numbers("u32", [4]) },
      "bad_gguf",
      /is of type array, not an integer/,
    ],
    [
      "a negative count",
      { "llama.context_length": scalar("i32", -1) },
      "bad_gguf",
      /is of type i32 -1, not an integer/,
    ],
    [
      "heads that do not divide",
      { "llama.attention.head_count": scalar("u32", 5) },
      "bad_gguf",
      /heads are of size 12\.8/,
    ],
    [
      "no heads",
      { "llama.attention.head_count": scalar("u32", 0) },
      "bad_gguf",
      /heads are of size Infinity/,
    ],
    [
      "other value heads",
      { "llama.attention.value_length": scalar("u32", 8) },
      "bad_gguf",
      /value heads are of size 8, its key heads of 16/,
    ],
    [
      "half rotated heads",
      { "llama.rope.dimension_count": scalar("u32", 8) },
      "unsupported_model",
      /rope\.dimension_count 8, Weft computes whole heads \(16\)/,
    ],
    [
      "yarn",
      { "llama.rope.scaling.type": text("yarn") },
      "unsupported_model",
      /scaling\.type "yarn", Weft computes none, linear and llama3/,
    ],
    [
      "experts of a dense family",
      { ...renamed("qwen2"), "qwen2.expert_count": scalar("u32", 8) },
      "unsupported_model",
      /qwen2\.expert_count 8, Weft computes qwen2 without experts/,
    ],
    [
      "a soft cap",
      { "llama.attn_logit_softcapping": scalar("f32", 50) },
      "unsupported_model",
      /attn_logit_softcapping/,
    ],
    [
      "reading in both directions",
      { "llama.attention.causal": scalar("bool", false) },
      "unsupported_model",
      /llama\.attention\.causal false, Weft computes models that read forwards/,
    ],
    [
      "an adapter",
      { "general.type": text("adapter") },
      "unsupported_model",
      /general\.type "adapter"/,
    ],
    [
      "a part of several",
      { "split.count": scalar("u16", 3) },
      "unsupported_model",
      /split\.count 3.*merge them with `llama-gguf-split --merge`/,
    ],
  ])("refuses %s", async (_, changes, code, message) => {
    const error = await configOf(changes).catch((e) => e);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^m\.gguf /);
  });

  test.each<[number | undefined, object]>([
    [undefined, {}],
    [0, {}],
    [1, { pooling_mode_mean_tokens: true }],
    [2, { pooling_mode_cls_token: true }],
    [3, { pooling_mode_lasttoken: true }],
    [4, {}],
  ])("pooling_type %j is sentence-transformers' %j", async (type, pooling) => {
    const changes = type === undefined ? {} : { "llama.pooling_type": scalar("u32", type) };
    const folder = folderOf({ "llama.attention.causal": scalar("bool", true), ...changes });
    expect(JSON.parse(await readText(folder, "1_Pooling/config.json"))).toEqual(pooling);
  });

  test("refuses a tensor that nothing reads, for it may matter", async () => {
    const norm = { name: "blk.0.attn_sub_norm.weight", dims: [8], type: 0, offset: 512 };
    await expect(configOf({}, [norm])).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringMatching(/has a tensor blk\.0\.attn_sub_norm\.weight, Weft computes/),
    });
  });

  test("refuses a file without an embedding", async () => {
    const pairs = Object.entries(LLAMA);
    const tensors = [{ ...EMBEDDING, name: "output.weight" }];
    const file = ggufFile({ pairs, tensors, data: new Uint8Array(512) });
    await expect(readText(openModelFolder(new Blob([file])), "config.json")).rejects.toMatchObject({
      code: "bad_gguf",
      message: expect.stringMatching(/has no tensor token_embd\.weight/),
    });
  });
});

describe("the weights", () => {
  const q = { name: "blk.0.attn_q.weight", dims: [64, 2], type: 7, offset: 512 };
  const bias = { name: "blk.0.attn_k.bias", dims: [8], type: 0, offset: 512 };
  const output = { name: "blk.0.attn_output.bias", dims: [8], type: 0, offset: 544 };

  test("go by Hugging Face names; interleaved rows are said where the architecture has them", async () => {
    const llama = await openCheckpoint(folderOf({}, [bias, output]));
    expect(llama.location).toBe("m.gguf");
    expect(llama.has("model.layers.0.self_attn.k_proj.bias")).toBe(true);
    expect(llama.has("lm_head.weight")).toBe(false);
    expect(llama.tensor("model.embed_tokens.weight", [2, 64])).toMatchObject({
      name: "token_embd.weight",
      dtype: "f32",
      shape: [2, 64],
      byteLength: 512,
    });
    const k = llama.tensor("model.layers.0.self_attn.k_proj.bias");
    expect(k.rowOrder).toEqual({ headSize: 16 });
    expect(llama.tensor("model.layers.0.self_attn.o_proj.bias").rowOrder).toBeUndefined();
    const qwen2 = await openCheckpoint(folderOf(renamed("qwen2"), [bias, output]));
    expect(qwen2.tensor("model.layers.0.self_attn.k_proj.bias").rowOrder).toBeUndefined();
  });

  test("a missing one is named as the file would, another shape and type are refused", async () => {
    const checkpoint = await openCheckpoint(folderOf({}, [q]));
    expect(() => checkpoint.tensor("model.layers.3.mlp.up_proj.weight")).toThrow(
      expect.objectContaining({
        code: "missing_tensor",
        message: expect.stringMatching(
          /^m\.gguf has no tensor blk\.3\.ffn_up\.weight among its 2;/,
        ),
      }),
    );
    expect(() => checkpoint.tensor("model.embed_tokens.weight", [64, 2])).toThrow(
      expect.objectContaining({ code: "bad_gguf" }),
    );
    expect(() => checkpoint.tensor("model.layers.0.self_attn.q_proj.weight")).toThrow(
      expect.objectContaining({
        code: "unsupported_dtype",
        message: expect.stringMatching(
          /blk\.0\.attn_q\.weight in m\.gguf is Q5_1; F32, F16, BF16, Q8_0, Q4_0, Q4_K, /,
        ),
      }),
    );
  });

  test("gates and values of experts are one, of one type", async () => {
    const stack = (name: string, type: number, offset: number, dims = [4, 2, 2]) => ({
      ...{ name: `blk.0.${name}.weight`, dims, type, offset },
    });
    const gates = stack("ffn_gate_exps", 0, 512);
    const name = "model.layers.0.mlp.experts.gate_up_proj";
    const both = await openCheckpoint(folderOf({}, [gates, stack("ffn_up_exps", 0, 576)]));
    expect(both.has(name)).toBe(true);
    expect(both.tensor(name, [2, 4, 4])).toMatchObject({ shape: [2, 4, 4], byteLength: 128 });
    expect(() => both.tensor(name, [2, 6, 4])).toThrow(
      expect.objectContaining({ code: "bad_gguf" }),
    );
    const mixed = await openCheckpoint(folderOf({}, [gates, stack("ffn_up_exps", 1, 576)]));
    expect(() => mixed.tensor(name)).toThrow(
      expect.objectContaining({
        code: "unsupported_dtype",
        message: expect.stringMatching(
          /blk\.0\.ffn_gate_exps\.weight and blk\.0\.ffn_up_exps\.weight in m\.gguf are f32 and f16; /,
        ),
      }),
    );
    const alone = await openCheckpoint(folderOf({}, [gates]));
    expect(alone.has(name)).toBe(false);
  });

  test("a row without its dimension of 1 is a row", async () => {
    const gate = { name: "blk.0.ffn_gate_inp_shexp.weight", dims: [8], type: 0, offset: 512 };
    const checkpoint = await openCheckpoint(folderOf(renamed("qwen2moe"), [gate]));
    const tensor = checkpoint.tensor("model.layers.0.mlp.shared_expert_gate.weight", [1, 8]);
    expect(tensor).toMatchObject({ shape: [1, 8], byteLength: 32 });
  });

  test("a file that has grown since its header was read is refused", async () => {
    const file = model();
    let opened = 0;
    const folder = ggufFolder("m.gguf", async () =>
      blobSource(new Blob([file, new Uint8Array(opened++)]), "m.gguf"),
    );
    await readText(folder, "config.json");
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: "file_changed" });
  });
});

test("the header is read once, an aborted read may be repeated, sources are closed", async () => {
  const bytes = model();
  let reads = 0;
  let open = 0;
  const folder = ggufFolder("m.gguf", async () => {
    open++;
    const source = blobSource(new Blob([bytes]), "m.gguf");
    return {
      ...source,
      read: (...args) => {
        reads++;
        return source.read(...args);
      },
      close: async () => void open--,
    };
  });
  const aborted = AbortSignal.abort("enough");
  await expect(folder.open("config.json", aborted)).rejects.toMatchObject({ code: "aborted" });
  reads = 0;
  await Promise.all([readText(folder, "config.json"), readText(folder, "config.json")]);
  await readText(folder, "config.json");
  expect(reads).toBe(1);
  const checkpoint = await openCheckpoint(folder);
  expect(open).toBe(1);
  await checkpoint.close();
  expect({ reads, open }).toEqual({ reads: 1, open: 0 });
});

describe("doors", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-gguf-"));
  let server: RangeServer;
  beforeAll(async () => {
    server = await rangeServer();
    server.files.set("/models/m.gguf", model());
    writeFileSync(join(directory, "m.gguf"), model());
  });
  afterAll(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  test.each<[string, () => ModelFolder]>([
    ["a path", () => openModelFolder(join(directory, "m.gguf"), localModel)],
    ["a URL", () => openModelFolder(`${server.url}/models/m.gguf?token=secret`)],
    ["a file", () => openModelFolder(new File([model()], "m.gguf"))],
  ])("%s", async (_, open) => {
    const folder = open();
    expect(folder.location).toMatch(/m\.gguf$/);
    expect(JSON.parse(await readText(folder, "config.json")).model_type).toBe("llama");
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.has("model.embed_tokens.weight")).toBe(true);
    await checkpoint.close();
    await expect(folder.open("vocab.txt")).rejects.toMatchObject({
      code: "file_not_found",
      message: expect.stringMatching(/m\.gguf gives no vocab\.txt/),
    });
  });

  test("a path where there is none", async () => {
    const folder = openModelFolder(join(directory, "none.GGUF"), localModel);
    await expect(folder.open("config.json")).rejects.toMatchObject({ code: "file_not_found" });
  });
});
