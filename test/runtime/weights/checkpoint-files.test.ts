// Files that transformers wrote, from a directory and from a server.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { httpFolder } from "../../../runtime/model-folder/http-folder.ts";
import { localFolder } from "../../../runtime/model-folder/local-folder.ts";
import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import { readFloat32 } from "../../../runtime/weights/stream.ts";
import { type RangeServer, rangeServer } from "./range-server.ts";

const GOLDENS = join(import.meta.dirname, "..", "..", "fixtures", "goldens");
const folders = readdirSync(GOLDENS, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith("model.safetensors"))
  .map((path) => path.slice(0, -"/model.safetensors".length));

let server: RangeServer;
beforeAll(async () => {
  server = await rangeServer();
});
afterAll(() => server.close());

test("there are files of all three dtypes", () => {
  const dtypes = new Set(folders.map((folder) => folder.split(/[\\/]/).at(-1)));
  expect(dtypes).toEqual(new Set(["f32", "f16", "bf16"]));
});

test.each(folders)("%s", async (folder) => {
  const path = join(GOLDENS, folder);
  server.files.set("/m/model.safetensors", readFileSync(join(path, "model.safetensors")));
  const local = await openCheckpoint(localFolder(path));
  const remote = await openCheckpoint(httpFolder(`${server.url}/m`));
  expect([...remote.tensors.keys()]).toEqual([...local.tensors.keys()]);
  for (const [name, { dtype }] of local.tensors) {
    // Halves of MXFP4, which Mxfp4Checkpoint reads together.
    if (dtype === "U8") continue;
    const tensor = local.tensor(name);
    expect(tensor.dtype).toBe(folder.split(/[\\/]/).at(-1));
    const values = await readFloat32(tensor);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.length).toBe(tensor.shape.reduce((a, b) => a * b, 1));
    const fetched = await readFloat32(remote.tensor(name));
    expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(fetched.buffer))).toBe(0);
  }
  await local.close();
});
