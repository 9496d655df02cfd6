// What loading refuses, with which words, before it allocates; and matrices cut by rows.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { Device, DeviceLimits } from "../../runtime/device.ts";
import { WeftError } from "../../runtime/errors.ts";
import { planModel } from "../../runtime/load-model.ts";
import type { LoadModelOptions } from "../../runtime/load-options.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { blobFolder, type ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import type { ModelRunner } from "../../runtime/model-runner.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { loadTiny, logitsOf } from "../models/sequence-runner.ts";

const goldens = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));

const demo = fileURLToPath(new URL("../../assets/demo/", import.meta.url));

/** A golden model with other values in its config.json. */
function withConfig(name: string, changes: Record<string, unknown>): ModelFolder {
  const config = JSON.parse(readFileSync(`${goldens}${name}/config.json`, "utf8"));
  const weights = readFileSync(`${goldens}${name}/model.safetensors`);
  return blobFolder(
    new Map([
      ["config.json", new Blob([JSON.stringify({ ...config, ...changes })])],
      ["model.safetensors", new Blob([weights])],
    ]),
    name,
  );
}

function withLimits(limits: Partial<DeviceLimits>): Device {
  const device = new ReferenceDevice();
  const info = { ...device.info, limits: { ...device.info.limits, ...limits } };
  return Object.defineProperty(device, "info", { value: info });
}

async function refusal(
  folder: ModelFolder,
  options?: LoadModelOptions,
  device: Device = new ReferenceDevice(),
): Promise<WeftError> {
  try {
    await (await planModel(device, folder, options)).close();
  } catch (error) {
    return WeftError.from(error);
  }
  throw new Error("the model was accepted");
}

test("an unknown model_type is named, with those that are known", async () => {
  const error = await refusal(withConfig("llama/f32", { model_type: "rwkv" }));
  expect(error.code).toBe("unsupported_model");
  expect(error.message).toMatch(/"rwkv".*llama.*olmo2.*smollm3/);
});

test.each([
  ["hidden_size", undefined, "bad_config"],
  ["num_hidden_layers", "two", "bad_config"],
  ["hidden_act", "relu", "unsupported_model"],
  ["rope_scaling", { rope_type: "dynamic", factor: 4 }, "unsupported_model"],
  ["vocab_size", 7, "bad_safetensors"],
])("config.json with %s = %j is refused", async (key, value, code) => {
  const error = await refusal(withConfig("llama/f32", { [key]: value }));
  expect(error.code).toBe(code);
  if (code !== "bad_safetensors") expect(error.message).toContain(key);
});

test("unknown keys of config.json are ignored", async () => {
  const folder = withConfig("llama/f32", { some_new_key: { deep: true } });
  const plan = await planModel(new ReferenceDevice(), folder);
  expect(plan.spec.modelType).toBe("llama");
  await plan.close();
});

test("a missing tensor is named", async () => {
  const error = await refusal(withConfig("llama/f32", { num_hidden_layers: 9 }));
  expect(error.code).toBe("missing_tensor");
  expect(error.message).toMatch(/model\.layers\.\d\./);
});

test("a memory budget below the weights says what is needed", async () => {
  const error = await refusal(localFolder(`${goldens}llama/f32`), { memoryBudgetBytes: 1000 });
  expect(error.code).toBe("memory_budget_too_small");
  const needed = Number(/give at least (\d+)/.exec(error.message)?.[1]);
  const device = new ReferenceDevice();
  const plan = await planModel(device, localFolder(`${goldens}llama/f32`), {
    memoryBudgetBytes: needed,
  });
  expect(plan.weightBytes + plan.activationBytes + plan.kv.totalBytes).toBeLessThanOrEqual(needed);
  expect(plan.maxContext).toBeGreaterThanOrEqual(96);
  await plan.close();
});

test("a budget that leaves no block of KV cache is refused", async () => {
  const folder = localFolder(`${goldens}llama/f32`);
  const plan = await planModel(new ReferenceDevice(), folder);
  const memoryBudgetBytes = plan.weightBytes + plan.activationBytes + 64;
  await plan.close();
  const error = await refusal(folder, { memoryBudgetBytes });
  expect(error.code).toBe("memory_budget_too_small");
});

test("an embedding above the binding limit is cut by rows, with the same logits", async () => {
  const ids = [3, 1000, 64, 65, 1, 700, 127];
  const whole = await loadTiny(new ReferenceDevice(), demo);
  const { hiddenSize, ffnSize, vocabSize } = whole.spec;
  // Gate and up are one matrix, the largest that needs a binding of its own.
  expect(vocabSize).toBeGreaterThan(2 * ffnSize);
  const device = withLimits({ maxBindingBytes: 2 * ffnSize * hiddenSize * 2 });
  const cut = await loadTiny(device, demo, { memoryBudgetBytes: 16e6 });
  expect(await logitsOf(cut, ids)).toEqual(await logitsOf(whole, ids));
  expect(cut.pipelines.length).toBeGreaterThan(whole.pipelines.length);
});

test("so is every matrix, each head and each pair of gate and value whole, with the same logits", async () => {
  const ids = [3, 100, 64, 65, 1, 70, 127];
  const model = `${goldens}llama-bias/f32`;
  // The cache must fit, too.
  const options = { kv: "i8" } as const;
  const whole = await loadTiny(new ReferenceDevice(), model, options);
  const { hiddenSize, headDim } = whole.spec;
  const maxBindingBytes = 4 * hiddenSize * (headDim + 15);
  const cut = await loadTiny(withLimits({ maxBindingBytes }), model, options);
  expect(await logitsOf(cut, ids)).toEqual(await logitsOf(whole, ids));
  const numMatrices = (runner: ModelRunner) =>
    runner.nodes.filter((node) => node.matrix && node.form !== "T").length;
  // Six heads of QKV, two parts of attention_out and of gate_up, all of down.
  const perLayer = 6 + 2 + 2 + 1;
  expect(numMatrices(cut)).toBe(whole.spec.layers.length * perLayer + 2);
});

test("a binding that does not hold one head, or two blocks of the cache, is refused", async () => {
  const model = `${goldens}llama-bias/f32`;
  const small = await refusal(localFolder(model), {}, withLimits({ maxBindingBytes: 20_000 }));
  expect(small.code).toBe("limit_exceeded");
  expect(small.message).toMatch(/KV cache needs 65536 bytes.*allows 20000; choose kv: "i8"/);
  const error = await refusal(localFolder(model), {}, withLimits({ maxBindingBytes: 12_000 }));
  expect(error.code).toBe("limit_exceeded");
  expect(error.message).toMatch(/64 rows of weight layers\.0\.qkv need 16384 bytes.*allows 12000/);
});

test("queries that meet latents must fit a binding: fewer tokens at a time do", async () => {
  const folder = localFolder(`${goldens}deepseek-v2/f32`);
  // 4 heads of 48 dims, and two tokens too few.
  const device = withLimits({ maxBindingBytes: 4 * 4 * 48 * 510 });
  const error = await refusal(folder, { maxTokensPerPlan: 512 }, device);
  expect(error.code).toBe("limit_exceeded");
  expect(error.message).toMatch(/of 512 tokens need 393216 bytes.*set maxTokensPerPlan to 510/);
  const plan = await planModel(device, folder, { maxTokensPerPlan: 510 });
  await plan.close();
});

test("int8 rows need integer weights, dot products of integers, and no tuning", async () => {
  const folder = localFolder(`${goldens}llama/f32`);
  const i8 = { activations: "i8" } as const;
  const refused = async (options: LoadModelOptions, device?: Device) => {
    const { code, message } = await refusal(folder, options, device);
    expect(code).toBe("bad_request");
    return message;
  };
  expect(await refused(i8)).toMatch(/matrices are in f32.*quant: "q8" or "q4"/);
  const tuning = { read: async () => undefined, write: async () => {} };
  expect(await refused({ ...i8, quant: "q8", tuning })).toMatch(/tuning .* leave out one/);
  expect(await refused({ activations: "i4" as "i8" })).toMatch(
    /activations is "i4".*"f32" or "i8"/,
  );
  const message = await refused({ ...i8, quant: "q8" }, oldBrowser());
  expect(message).toMatch(/packed_4x8_integer_dot_product.*activations: "f32"/);
});

test("quantised weights and an int8 cache need WGSL's functions that unpack codes", async () => {
  const folder = localFolder(`${goldens}llama/f32`);
  const error = await refusal(folder, { quant: "q8", kv: "i8" }, oldBrowser());
  expect(error.code).toBe("unsupported_dtype");
  expect(error.message).toMatch(/^weights in q8_0 and a KV cache in i8 would need .*packed_4x8/);
  const plan = await planModel(oldBrowser(), folder);
  await plan.close();
});

/** A WebGPU implementation of before 2024. */
function oldBrowser(): Device {
  const device = new ReferenceDevice();
  const info = { ...device.info, kind: "gpu", languageFeatures: ["subgroup_id"] };
  return Object.defineProperty(device, "info", { value: info });
}
