// `weft info` on the reference device: shapes of its JSON, and models that cannot run.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GOLDEN, GOLDENS, tinyModel } from "./tiny-model.ts";
import { weft, weftJson } from "./weft.ts";

const INFO = ["info", "--device", "reference"];
const CONFIG = JSON.parse(readFileSync(join(GOLDEN, "config.json"), "utf8"));
const withConfig = (more: object) =>
  tinyModel({ "config.json": JSON.stringify({ ...CONFIG, ...more }) });

test("names the device, and tests no kernel against itself", async () => {
  const info = await weftJson(INFO);
  expect(info).toEqual({
    adapter: expect.stringContaining("reference"),
    device: "reference",
    tier: "reference",
    features: [],
    limits: expect.objectContaining({ maxBindingBytes: expect.any(Number) }),
    selfTest: { passed: 0, failed: 0, kernels: [] },
  });
});

test("says from the headers what a model needs and what fits", async () => {
  const args = ["--model", join(GOLDENS, "mistral", "f16"), "--memory-budget", "5M", "--kv", "f32"];
  const { model } = await weftJson([...INFO, ...args]);
  expect(model.architecture).toMatchObject({ modelType: "mistral", layers: 2, vocabSize: 131 });
  const { f16, f32 } = model.formats;
  expect(f16).toBeGreaterThan(f32);
  expect(model.weightBytes).toBe(f16 + f32);
  // Keys and values of 2 heads of 32, in 2 layers.
  expect(model.kvBytesPer1000Tokens).toBe(1000 * 2 * 2 * 32 * 4 * 2);
  expect(model.memoryBudgetBytes).toBe(5_000_000);
  expect(model.totalBytes).toBeLessThanOrEqual(5_000_000);
  const { contextTokens, concurrency } = model.fits.at(-1);
  expect(contextTokens).toBe(model.maxContext);
  expect(concurrency).toBeGreaterThan(0);
});

test("with --kv i8, keys and values are a byte each, and four for the scale of a head", async () => {
  const args = ["--model", join(GOLDENS, "mistral", "f16"), "--kv", "i8"];
  const { model } = await weftJson([...INFO, ...args, "--quant", "q8", "--activations", "i8"]);
  expect(model).toMatchObject({ activations: "i8", formats: { q8_0: expect.any(Number) } });
  expect(model.kvStorage).toBe("i8");
  expect(model.kvBytesPer1000Tokens).toBe(1000 * 2 * 2 * (32 + 4) * 2);
});

test("of a model with latents, one latent and one rotated key for all heads", async () => {
  const args = [...INFO, "--model", join(GOLDENS, "deepseek-v2", "bf16")];
  const { model } = await weftJson(args);
  expect(model).toMatchObject({ kvStorage: "f16", kvBytesPer1000Tokens: 1000 * (32 + 16) * 2 * 2 });
  const refused = await weft([...args, "--kv", "i8"]);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(/kv is "i8".*keeps a latent.*f16 or f32.*bad_request/);
});

test("says what room experts have where not all fit", async () => {
  const args = ["--model", join(GOLDENS, "mixtral", "f32"), "--expert-memory"];
  const { model: all } = await weftJson([...INFO, ...args, "1G"]);
  expect(all.experts).toBeNull();
  const { model } = await weftJson([...INFO, ...args, "100K"]);
  const { slots, poolBytes, totalBytes } = model.experts;
  expect(slots).toBeGreaterThan(1);
  expect(poolBytes).toBeLessThanOrEqual(100_000);
  expect(all.weightBytes - model.weightBytes).toBe(totalBytes - poolBytes);
});

test("what it says fits is what the engine takes", async () => {
  const model = tinyModel();
  const shared = ["--model", model, "--device", "reference", "--memory-budget", "2300K"];
  const { maxContext } = (await weftJson(["info", ...shared])).model;
  expect(maxContext).toBeLessThan(CONFIG.max_position_embeddings);
  // The last sampled token is never computed, so it takes no room.
  const run = (maxTokens: number) =>
    weft(["run", ...shared, "--prompt", "Hi", "--max-tokens", `${maxTokens}`, "--json"]);
  const [fits, tooLong] = await Promise.all([run(maxContext - 1), run(maxContext)]);
  expect(fits.status).toBe(0);
  expect(tooLong).toMatchObject({ status: 1, stderr: expect.stringMatching(/request_too_long/) });
});

test.each<[string, () => string[], RegExp]>([
  ["a budget too small", () => [GOLDEN, "--memory-budget", "1K"], /give at least \d+/],
  ["an unknown family", () => [withConfig({ model_type: "mamba" })], /"mamba".*qwen3/],
  [
    "a size no kernel computes",
    () => [withConfig({ hidden_size: 66 })],
    /hidden_size has 66 columns.*multiple of 32/,
  ],
  ["a missing tensor", () => [withConfig({ num_hidden_layers: 3 })], /model\.layers\.2\..*missing/],
  ["no folder", () => ["/nowhere"], /file_not_found/],
])("ends with 1 for %s", async (_, args, message) => {
  const { status, stdout, stderr } = await weft([...INFO, "--json", "--model", ...args()]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(message);
});

test("without --json it reads as lines", async () => {
  const { status, stdout } = await weft([...INFO, "--model", GOLDEN]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^adapter +reference/);
  expect(stdout).toMatch(/\nmodel +qwen3, 2 layers/);
  expect(stdout).toMatch(/\n {2}fits +16 at once with 512 tokens each\n/);
});
