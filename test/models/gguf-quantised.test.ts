// A GGUF file with quantised matrices gives the logits of the values that its blocks decode to, rows
// of queries and keys interleaved as llama's are.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { blobFolder, readText } from "../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { toFloat32 } from "../../runtime/weights/dtype.ts";
import { ggufNames, isQueryOrKey } from "../../runtime/weights/gguf-names.ts";
import { GGUF_DTYPES, TENSOR_TYPES } from "../../runtime/weights/gguf-types.ts";
import { openCheckpoint } from "../../runtime/weights/open-checkpoint.ts";
import { readFloat32 } from "../../runtime/weights/stream.ts";
import { interleave } from "../runtime/gguf-fixture.ts";
import { ggufFile, scalar, text, type WrittenTensor } from "../runtime/weights/gguf-file.ts";
import { bytesOf, safetensorsFile, type TensorSpec } from "../runtime/weights/safetensors-file.ts";
import { expectSame } from "./expect-same.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

const golden = localFolder(
  fileURLToPath(new URL("../fixtures/goldens/llama/f32", import.meta.url)),
);

/** The golden's matrices in blocks of a type, as a GGUF file and as a folder of decoded values. */
async function quantised(typeName: string) {
  const format = weightFormats[GGUF_DTYPES.get(typeName)!];
  const typeId = [...TENSOR_TYPES].find(([, { name }]) => name === typeName)![0];
  const config = JSON.parse(await readText(golden, "config.json"));
  const headSize = config.hidden_size / config.num_attention_heads;
  const checkpoint = await openCheckpoint(golden);
  const written: WrittenTensor[] = [];
  const data: number[] = [];
  const folder: Record<string, TensorSpec> = {};
  for (const [name, { shape }] of checkpoint.tensors) {
    let values = await readFloat32(checkpoint.tensor(name));
    const isMatrix = shape.length === 2;
    const encode = (values: Float32Array<ArrayBuffer>) =>
      isMatrix ? format.encode(values) : bytesOf(values);
    const decoded = isMatrix ? toFloat32(encode(values), format.name) : values;
    folder[name] = { dtype: "F32", shape, bytes: bytesOf(decoded) };
    if (isQueryOrKey(name)) values = interleave(values, shape[0], headSize);
    written.push({
      name: ggufNames(name, "llama")[0],
      dims: shape.toReversed(),
      type: isMatrix ? typeId : 0,
      offset: data.length,
    });
    for (const byte of encode(values)) data.push(byte);
    while (data.length % 32 !== 0) data.push(0);
  }
  await checkpoint.close();
  const pairs = [
    ["general.architecture", text("llama")],
    ["llama.context_length", scalar("u32", config.max_position_embeddings)],
    ["llama.embedding_length", scalar("u32", config.hidden_size)],
    ["llama.block_count", scalar("u32", config.num_hidden_layers)],
    ["llama.feed_forward_length", scalar("u32", config.intermediate_size)],
    ["llama.attention.head_count", scalar("u32", config.num_attention_heads)],
    ["llama.attention.head_count_kv", scalar("u32", config.num_key_value_heads)],
    ["llama.attention.layer_norm_rms_epsilon", scalar("f32", config.rms_norm_eps)],
  ] as const;
  const file = ggufFile({ pairs, tensors: written, data: Uint8Array.from(data) });
  const files = {
    "config.json": JSON.stringify(config),
    "model.safetensors": safetensorsFile(folder),
  };
  return {
    fromGguf: openModelFolder(new Blob([file])),
    fromFolder: blobFolder(new Map(Object.entries(files).map(([k, v]) => [k, new Blob([v])]))),
  };
}

test.each(["Q8_0", "Q4_0"])("%s", async (typeName) => {
  const { fromGguf, fromFolder } = await quantised(typeName);
  const ids = [1, 100, 7, 64, 3, 130, 99, 12, 31];
  const [actual, expected] = await Promise.all(
    [fromGguf, fromFolder].map(async (folder) =>
      logitsOf(await loadTiny(new ReferenceDevice(), folder, { kv: "f32" }), ids),
    ),
  );
  expect(actual.every(Number.isFinite)).toBe(true);
  expectSame(actual, expected);
});
