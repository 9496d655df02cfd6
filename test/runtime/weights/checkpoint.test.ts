import { describe, expect, test } from "vitest";
import { blobFolder } from "../../../runtime/model-folder/model-folder.ts";
import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import { readFloat32 } from "../../../runtime/weights/stream.ts";
import { bytesOf, safetensorsFile } from "./safetensors-file.ts";

const f32 = (...values: number[]) => ({
  dtype: "F32",
  shape: [values.length],
  bytes: bytesOf(Float32Array.from(values)),
});
const INDEX = "model.safetensors.index.json";

function folder(files: Record<string, Uint8Array<ArrayBuffer> | string | object>) {
  const entries = Object.entries(files).map(([name, content]) => {
    const plain = typeof content === "string" || content instanceof Uint8Array;
    return [name, new Blob([plain ? (content as BlobPart) : JSON.stringify(content)])] as const;
  });
  return blobFolder(new Map(entries), "models/tiny");
}

describe("one file", () => {
  const opened = () =>
    openCheckpoint(
      folder({
        "model.safetensors": safetensorsFile({
          a: f32(1, 2, 3),
          counts: { dtype: "I64", shape: [1], bytes: new Uint8Array(8) },
        }),
      }),
    );

  test("gives tensors by name", async () => {
    const checkpoint = await opened();
    const tensor = checkpoint.tensor("a", [3]);
    expect(tensor).toMatchObject({ dtype: "f32", shape: [3], byteLength: 12 });
    expect(await readFloat32(tensor)).toEqual(Float32Array.of(1, 2, 3));
  });

  test("refuses a missing name, another shape, and a dtype when it is asked for", async () => {
    const checkpoint = await opened();
    expect(() => checkpoint.tensor("constructor")).toThrow(
      expect.objectContaining({
        code: "missing_tensor",
        message: expect.stringMatching(/^models\/tiny has no tensor constructor among its 2;/),
      }),
    );
    expect(() => checkpoint.tensor("a", [1, 3])).toThrow(
      /shape \[3\], config.json asks for \[1,3\]/,
    );
    expect(() => checkpoint.tensor("counts")).toThrow(
      expect.objectContaining({
        code: "unsupported_dtype",
        message: expect.stringMatching(/tensor counts in .* is I64; F32, F16, BF16 are/),
      }),
    );
  });
});

describe("shards", () => {
  const shards = {
    "w-1.safetensors": safetensorsFile({ a: f32(1), b: f32(2), unlisted: f32(9) }),
    "w-2.safetensors": safetensorsFile({ c: f32(3) }),
  };
  const index = (weight_map: unknown) => ({
    [INDEX]: { metadata: { total_size: 12 }, weight_map },
  });

  test("are found through the index, each opened once", async () => {
    const inner = folder({
      ...shards,
      ...index({ a: "w-1.safetensors", c: "w-2.safetensors", b: "w-1.safetensors" }),
    });
    const opened: string[] = [];
    const closed: string[] = [];
    const checkpoint = await openCheckpoint({
      location: inner.location,
      async open(name) {
        opened.push(name);
        return { ...(await inner.open(name)), close: async () => void closed.push(name) };
      },
    });
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "c", "b"]);
    expect(await readFloat32(checkpoint.tensor("b"))).toEqual(Float32Array.of(2));
    expect(opened).toEqual(["model.safetensors", INDEX, "w-1.safetensors", "w-2.safetensors"]);
    closed.length = 0;
    await checkpoint.close();
    expect(closed).toEqual(["w-1.safetensors", "w-2.safetensors"]);
  });

  test.each([
    ["a shard that is not there", { a: "w-9.safetensors" }, "file_not_found", /w-9/],
    ["a shard without the tensor", { z: "w-1.safetensors" }, "missing_tensor", /z is in w-1/],
    ["a shard outside the folder", { a: "../w-1.safetensors" }, "bad_file", /"\.\.\/w-1/],
    ["an absolute shard", { a: "/etc/passwd" }, "bad_file", /relative/],
    ["a shard on another host", { a: "https://x/y" }, "bad_file", /relative/],
    ["a shard that is a number", { a: 1 }, "bad_safetensors", /maps tensor a to no file name/],
    ["no weight_map", [], "bad_safetensors", /has no weight_map/],
  ])("refuses %s", async (_, weightMap, code, message) => {
    const error = await openCheckpoint(folder({ ...shards, ...index(weightMap) })).catch((e) => e);
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
  });

  test("refuses an index with repeated names or broken JSON", async () => {
    const repeated = '{"weight_map":{"a":"w-1.safetensors","a":"w-2.safetensors"}}';
    await expect(openCheckpoint(folder({ ...shards, [INDEX]: repeated }))).rejects.toThrow(
      /the key "a" is repeated/,
    );
    await expect(openCheckpoint(folder({ ...shards, [INDEX]: "{" }))).rejects.toMatchObject({
      code: "bad_safetensors",
    });
  });

  test("closes what it had opened when a later shard is broken", async () => {
    const inner = folder({
      "w-1.safetensors": shards["w-1.safetensors"],
      "w-2.safetensors": "nonsense, and long enough",
      ...index({ a: "w-1.safetensors", c: "w-2.safetensors" }),
    });
    const open = new Set<string>();
    const watched = {
      location: inner.location,
      async open(name: string) {
        const source = await inner.open(name);
        open.add(name);
        return { ...source, close: async () => void open.delete(name) };
      },
    };
    await expect(openCheckpoint(watched)).rejects.toMatchObject({ code: "bad_safetensors" });
    expect([...open]).toEqual([]);
  });
});

test("a folder without weights says which files it looked for", async () => {
  await expect(openCheckpoint(folder({ "pytorch_model.bin": "x" }))).rejects.toMatchObject({
    code: "file_not_found",
    message: expect.stringMatching(
      /neither model\.safetensors nor model\.safetensors\.index\.json/,
    ),
  });
});
