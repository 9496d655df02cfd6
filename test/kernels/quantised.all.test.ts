// Quantised blocks decode to the very f32 that Python `gguf` gives (tools/quant/blocks.py): repacked
// by the kernel that loading uses, then read row by row by the embedding kernel.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embedding } from "../../kernels/embedding.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/packed-formats.ts";
import { packedBytes } from "../../kernels/packed-matrix.ts";
import { repack } from "../../kernels/repack.ts";
import type { Device } from "../../runtime/device.ts";
import { toFloat32 } from "../../runtime/weights/dtype.ts";
import { openDevice, profiles } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { KernelMemory } from "./kernel-memory.ts";

const folder = new URL("../fixtures/quant/", import.meta.url);
const { rows, columns, formats } = JSON.parse(
  readFileSync(new URL("index.json", folder), "utf8"),
) as { rows: number; columns: number; formats: WeightFormatName[] };
const file = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const words = (bytes: Uint8Array) => new Uint32Array(bytes.slice().buffer);

describe.each(profiles())("device profile %s", (profile) => {
  let device: Device;
  let memory: KernelMemory;
  beforeAll(async () => {
    device = await openDevice(profile);
    memory = new KernelMemory(device);
  });
  afterAll(() => device.destroy());

  test.each(formats)("%s", async (name) => {
    const blocks = file(`${name}.blocks.bin`);
    const weight = await memory.poison("weight", packedBytes(weightFormats[name], rows, columns));
    const staged = new Uint8Array(Math.ceil(blocks.length / 4) * 4);
    staged.set(blocks);
    const sizes = { N: rows, K: columns, rows, words: staged.length / 4, out_words: 0 };
    await memory.run(
      repack(name),
      { blocks: await memory.put("blocks", staged), out: weight },
      { ...sizes, from_row: 0, first_row: 0, to_row: 0, head_size: 0 },
    );
    const out = await memory.poison("out", 4 * rows * columns);
    const buffers = {
      token_ids: await memory.put(
        "token_ids",
        Uint32Array.from({ length: rows }, (_, i) => i),
      ),
      last_token: await memory.put("last_token", Uint32Array.of(0)),
      weight,
      out,
    };
    await memory.run(embedding(name), buffers, { T: rows, D: columns, V: rows, first_row: 0 });
    expect(await memory.read(out)).toEqual(words(file(`${name}.values.bin`)));
    memory.free();
  });
});

if (project() === "reference") {
  test.each(formats)("%s on the host", (name) => {
    const values = toFloat32(file(`${name}.blocks.bin`), name);
    const bits = new Uint32Array(values.buffer);
    expect(bits).toEqual(words(file(`${name}.values.bin`)));
  });
}
