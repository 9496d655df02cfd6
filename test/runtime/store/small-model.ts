// A model whose files are noise: the store does not look into them, but for the index of shards.

import { seededRandom } from "../../../kernels/probe.ts";

export const PART_BYTES = 16 * 1024;

export function noise(sizeBytes: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = seededRandom(seed);
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32;
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/** Two shards of 13 and 5 parts, and small files. */
export const shardedModel = (seed = 1): Record<string, Uint8Array | string> => ({
  "config.json": `{"seed":${seed}}`,
  "tokenizer.json": JSON.stringify({ text: "ä".repeat(40_000), seed }),
  "model.safetensors.index.json": JSON.stringify({
    weight_map: { a: SHARDS[0], b: SHARDS[1], c: SHARDS[0] },
  }),
  [SHARDS[0]]: noise(12 * PART_BYTES + 77, seed),
  [SHARDS[1]]: noise(5 * PART_BYTES, seed + 1),
});

export const singleModel = (seed = 1): Record<string, Uint8Array | string> => ({
  "config.json": `{"seed":${seed}}`,
  "model.safetensors": noise(9 * PART_BYTES + 5, seed),
});
