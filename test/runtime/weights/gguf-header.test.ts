import { describe, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import { type ByteSource, blobSource } from "../../../runtime/weights/byte-source.ts";
import { readGgufHeader } from "../../../runtime/weights/gguf-header.ts";
import { type GgufParts, ggufFile, numbers, scalar, text, texts, u32 } from "./gguf-file.ts";
import { watched } from "./watched-source.ts";

const source = (bytes: Uint8Array<ArrayBuffer>) => blobSource(new Blob([bytes]), "m.gguf");
const read = (parts: GgufParts) => readGgufHeader(source(ggufFile(parts)));

/** F32 [2,3], Q8_0 [2,32] and an empty one. */
const TENSORS = [
  { name: "a", dims: [3, 2], type: 0, offset: 0 },
  { name: "blk.0.é", dims: [32, 2], type: 8, offset: 32 },
  { name: "empty", dims: [0], type: 1, offset: 128 },
];
const DATA = new Uint8Array(128).fill(7);

test.each([2, 3])("a sound header of version %i gives values and places", async (version) => {
  const file = ggufFile({
    version,
    pairs: [
      ["general.architecture", text("llama")],
      ["a.u8", scalar("u8", 200)],
      ["a.i8", scalar("i8", -3)],
      ["a.u16", scalar("u16", 65_535)],
      ["a.i16", scalar("i16", -2)],
      ["a.u32", scalar("u32", 4e9)],
      ["a.i32", scalar("i32", -5)],
      ["a.f32", scalar("f32", 1e-6)],
      ["a.f64", scalar("f64", 1e-6)],
      ["a.bool", scalar("bool", true)],
      ["a.u64", scalar("u64", 2 ** 40)],
      ["a.i64", scalar("i64", -(2n ** 60n))],
      ["a.texts", texts(["", "Ġthe", "日本", "🙂"])],
      ["a.floats", numbers("f32", [0.5, -1])],
      ["a.flags", numbers("bool", [0, 1])],
      ["a.longs", numbers("u64", [2n ** 63n])],
    ],
    tensors: TENSORS,
    data: DATA,
  });
  const header = await readGgufHeader(source(file));
  expect(header).toMatchObject({ name: "m.gguf", sizeBytes: file.length, version });
  const values = Object.fromEntries([...header.values].map(([key, { value }]) => [key, value]));
  expect(values).toEqual({
    "general.architecture": "llama",
    "a.u8": 200,
    "a.i8": -3,
    "a.u16": 65_535,
    "a.i16": -2,
    "a.u32": 4e9,
    "a.i32": -5,
    "a.f32": Math.fround(1e-6),
    "a.f64": 1e-6,
    "a.bool": true,
    "a.u64": 2 ** 40,
    "a.i64": -(2n ** 60n),
    "a.texts": ["", "Ġthe", "日本", "🙂"],
    "a.floats": Float32Array.of(0.5, -1),
    "a.flags": Uint8Array.of(0, 1),
    "a.longs": BigUint64Array.of(2n ** 63n),
  });
  const dataStart = file.length - DATA.length;
  expect([...header.tensors.values()]).toMatchObject([
    { name: "a", type: { name: "F32" }, shape: [2, 3], offset: dataStart, byteLength: 24 },
    { name: "blk.0.é", type: { name: "Q8_0" }, shape: [2, 32], byteLength: 68 },
    { name: "empty", shape: [0], byteLength: 0 },
  ]);
});

test("a header longer than one piece is read piece by piece, each byte once", async () => {
  const tokens = Array.from({ length: 30_000 }, (_, i) => `Ġtoken${i}${"é".repeat(i % 7)}`);
  const long = "x".repeat(70_000);
  const file = ggufFile({
    pairs: [
      ["tokens", texts(tokens)],
      ["template", text(long)],
      ["scores", numbers("f32", new Array(40_000).fill(0.25))],
    ],
  });
  const reads: number[] = [];
  const { values } = await readGgufHeader(watched(source(file), reads));
  expect(values.get("tokens")?.value).toEqual(tokens);
  expect(values.get("template")?.value).toBe(long);
  expect(values.get("scores")?.value).toEqual(new Float32Array(40_000).fill(0.25));
  expect(reads.length).toBeGreaterThan(1);
  expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(file.length);
});

test("general.alignment moves the data", async () => {
  const { tensors } = await read({
    alignment: 256,
    pairs: [["general.alignment", scalar("u32", 256)]],
    tensors: [{ name: "a", dims: [1], type: 0, offset: 256 }],
    data: new Uint8Array(260),
  });
  expect(tensors.get("a")?.offset).toBe(512);
});

const one = (more: object) => ({ tensors: [{ ...TENSORS[0], ...more }], data: DATA });
const pair = (value: readonly number[]): GgufParts => ({ pairs: [["k", value]] });
const FAULTS: [name: string, parts: GgufParts, message: RegExp][] = [
  ["another magic", { magic: "GGML" }, /does not begin with "GGUF"/],
  ["version 1", { version: 1 }, /has version 1, versions 2 and 3 are read/],
  ["big-endian", { version: 0x03000000 }, /is big-endian; take the little-endian file/],
  ["more tensors than bytes", { numTensors: 1n << 40n }, /claims \d+ tensors, 8 bytes are left/],
  ["more pairs than bytes", { numPairs: 9n }, /claims 9 metadata pairs, 0 bytes/],
  ["counts past 2^53", { numPairs: 1n << 60n }, /more than any file holds/],
  ["a repeated key", { pairs: [pair(text("")).pairs![0], pair(text("")).pairs![0]] }, /"k" is rep/],
  ["a value type of tomorrow", pair([...u32(13), 0]), /"k" has value type 13/],
  ["an array of arrays", pair([...numbers("array", [])]), /is an array of arrays/],
  ["an array longer than the file", pair(longer(numbers("f32", [1]))), /takes \d+ bytes at/],
  ["strings longer than the file", pair(longer(texts(["a"]))), /"k\\?" takes \d+ bytes at/],
  ["a string longer than the file", pair([...u32(8), 255, 0, 0, 0, 0, 0, 0, 0]), /takes 255/],
  ["a bool that is 2", pair([...u32(7), 2]), /bool at \d+ is 2/],
  ["a flag that is 2", pair(numbers("bool", [0, 2])), /has a bool that is not 0 or 1/],
  ["text that is not UTF-8", pair([...u32(8), 1, 0, 0, 0, 0, 0, 0, 0, 0xff]), /is not UTF-8/],
  ["a value cut short", pair(u32(4)), /goes on at \d+ with 4 bytes, the file ends at/],
  ["an alignment of 3", { pairs: [["general.alignment", scalar("u32", 3)]] }, /no power of two/],
  ["an alignment of 4", { pairs: [["general.alignment", scalar("u32", 4)]] }, /no power of two/],
  ["an alignment in text", { pairs: [["general.alignment", text("32")]] }, /\(string\) is no/],
  ["five dimensions", one({ dims: [1, 1, 1, 1, 1] }), /has 5 dimensions/],
  ["dimensions without end", one({ numDims: 2 ** 31 }), /has 2147483648 dimensions/],
  ["a dimension of 2^60", one({ dims: [1n << 60n] }), /dimension of tensor "a" is/],
  ["a product past 2^53", one({ dims: [2 ** 40, 2 ** 40] }), /the file holds 128 bytes/],
  ["a type that ggml removed", one({ type: 4 }), /has type 4, which is none of ggml's/],
  ["a row of half a block", one({ dims: [48], type: 8 }), /Q8_0 needs whole blocks of 32/],
  ["a row of half a super-block", one({ dims: [128], type: 12 }), /Q4_K needs whole blocks of 256/],
  ["an offset between", one({ offset: 8 }), /begins at 8, no multiple of 32/],
  ["an offset past the end", one({ offset: 128 }), /lies at 128 to 152, the file holds 128/],
  ["an offset past 2^53", one({ offset: 1n << 63n }), /offset of tensor "a" is/],
  ["a repeated tensor", { tensors: [TENSORS[0], TENSORS[0]], data: DATA }, /"a" is repeated/],
  [
    "an overlap",
    { tensors: [TENSORS[1], { ...TENSORS[0], offset: 96 }], data: DATA },
    /"blk\.0\.é" and "a" overlap at/,
  ],
  ["no data at all", { tensors: [TENSORS[0]] }, /the file holds 0 bytes of data/],
];

/** The length of an array said to be 2^40. */
function longer(array: readonly number[]): readonly number[] {
  return array.with(8 + 5, 1);
}

describe("refuses", () => {
  test.each(FAULTS)("%s", async (_, parts, message) => {
    const error = await read(parts).catch((e) => e);
    expect(error).toBeInstanceOf(WeftError);
    expect(error).toMatchObject({ code: "bad_gguf" });
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^m\.gguf is no sound GGUF file: .*; (download|take|convert) /s);
  });

  test("a file of no bytes, and one cut at every length", async () => {
    const tensors = TENSORS.slice(0, 2);
    const file = ggufFile({ pairs: [["k", texts(["a", "b"])]], tensors, data: DATA });
    const needed = file.length - DATA.length + 32 + 68;
    for (let length = 0; length < needed; length++) {
      await expect(readGgufHeader(source(file.slice(0, length)))).rejects.toMatchObject({
        code: "bad_gguf",
      });
    }
    await readGgufHeader(source(file.slice(0, needed)));
  });

  test("a header longer than is read of any, in a file that is large enough", async () => {
    const start = ggufFile({ pairs: [["k", longer(numbers("f32", []))]] });
    const reads: number[] = [];
    const huge: ByteSource = {
      name: "huge.gguf",
      sizeBytes: 2 ** 44,
      async read(_, length) {
        const bytes = new Uint8Array(length);
        bytes.set(start);
        return bytes;
      },
    };
    await expect(readGgufHeader(watched(huge, reads))).rejects.toThrow(/longer than 268435456/);
    expect(reads).toEqual([64 * 1024]);
  });
});
