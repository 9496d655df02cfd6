// 4-bit groups as MLX, AWQ and GPTQ store them become the very f32 of each upstream's definition
// (tools/quant/groups.py): from their files to blocks, repacked by the kernel that loading uses, then
// read row by row by the embedding kernel.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embedding } from "../../kernels/embedding.ts";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { packedBytes } from "../../kernels/packed-matrix.ts";
import { repack } from "../../kernels/repack.ts";
import type { Device } from "../../runtime/device.ts";
import { blobFolder } from "../../runtime/model-folder/model-folder.ts";
import type { WeightTensor } from "../../runtime/weights/checkpoint.ts";
import { toFloat32 } from "../../runtime/weights/dtype.ts";
import { openCheckpoint } from "../../runtime/weights/open-checkpoint.ts";
import { readQuantisation } from "../../runtime/weights/quantisation-config.ts";
import { quantisedCheckpoint } from "../../runtime/weights/quantised-checkpoint.ts";
import { streamTensor } from "../../runtime/weights/stream.ts";
import { openDevice, profiles } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { KernelMemory } from "./kernel-memory.ts";

const folder = new URL("../fixtures/int4/", import.meta.url);
const file = (name: string) => readFileSync(new URL(name, folder));
const { rows, columns, cases } = JSON.parse(file("index.json").toString()) as {
  rows: number;
  columns: number;
  cases: { name: string; config: Record<string, unknown> }[];
};
const expected = (name: string) =>
  new Uint32Array(new Uint8Array(file(`${name}.values.bin`)).buffer);

async function layer({ name, config }: (typeof cases)[number]): Promise<WeightTensor> {
  const files = new Map([["model.safetensors", new Blob([file(`${name}.safetensors`)])]]);
  const checkpoint = await openCheckpoint(blobFolder(files));
  const quantised = await quantisedCheckpoint(checkpoint, readQuantisation(config));
  return quantised.tensor("layer.weight", [rows, columns]);
}

async function blocksOf(tensor: WeightTensor, pieceBytes?: number): Promise<Uint8Array> {
  const blocks = new Uint8Array(tensor.byteLength);
  let end = 0;
  for await (const { offset, bytes } of streamTensor(tensor, { pieceBytes })) {
    expect(offset).toBe(end);
    blocks.set(bytes, offset);
    end += bytes.byteLength;
  }
  expect(end).toBe(tensor.byteLength);
  return blocks;
}

if (project() === "reference") {
  test.each(cases)("$name on the host", async (one) => {
    const tensor = await layer(one);
    for (const pieceBytes of [undefined, 3 * (tensor.byteLength / rows)]) {
      const values = toFloat32(await blocksOf(tensor, pieceBytes), tensor.dtype);
      expect(new Uint32Array(values.buffer)).toEqual(expected(one.name));
    }
  });
}

/** Each format once: methods differ before the device sees them. Pipelines are slow to build. */
const ON_DEVICES =
  scale("kernels", 0, 1) === 1
    ? /^(mlx_b?f16|awq)/
    : /^(mlx_f16_g32|mlx_bf16_g64|awq_f16_g128|awq_bf16_g32)$/;
const onDevices = cases.filter(({ name }) => ON_DEVICES.test(name));

describe.each(profiles())("device profile %s", (profile) => {
  let device: Device;
  let memory: KernelMemory;
  beforeAll(async () => {
    device = await openDevice(profile);
    memory = new KernelMemory(device);
  });
  afterAll(() => device.destroy());

  test.each(onDevices)("$name", async (one) => {
    const tensor = await layer(one);
    const format = weightFormats[tensor.dtype];
    const blocks = await blocksOf(tensor);
    const weight = await memory.poison("weight", packedBytes(format, rows, columns));
    const sizes = { N: rows, K: columns, rows, words: blocks.length / 4, out_words: 0 };
    await memory.run(
      repack(tensor.dtype),
      { blocks: await memory.put("blocks", blocks), out: weight },
      { ...sizes, from_row: 0, first_row: 0, to_row: 0, head_size: 0 },
    );
    const out = await memory.poison("out", 4 * rows * columns);
    const ids = Uint32Array.from({ length: rows }, (_, i) => i);
    const buffers = {
      token_ids: await memory.put("token_ids", ids),
      last_token: await memory.put("last_token", Uint32Array.of(0)),
      weight,
      out,
    };
    const dims = { T: rows, D: columns, V: rows, first_row: 0 };
    await memory.run(embedding(tensor.dtype), buffers, dims);
    expect(await memory.read(out)).toEqual(expected(one.name));
    memory.free();
  });
});
