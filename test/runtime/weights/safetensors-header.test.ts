import { describe, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import { type ByteSource, blobSource } from "../../../runtime/weights/byte-source.ts";
import { readHeader } from "../../../runtime/weights/safetensors-header.ts";
import { report, scale } from "../../harness/soak.ts";
import { generator, type Random } from "./random.ts";
import { assemble, bytesOf, safetensorsFile } from "./safetensors-file.ts";
import { watched } from "./watched-source.ts";

const source = (bytes: Uint8Array<ArrayBuffer>) => blobSource(new Blob([bytes]), "m.safetensors");
const sound = () =>
  safetensorsFile({
    "model.embed.weight": { dtype: "F32", shape: [2, 3], bytes: new Uint8Array(24).fill(1) },
    "model.norm.weight": { dtype: "BF16", shape: [3], bytes: new Uint8Array(6).fill(2) },
    "ids é\n": { dtype: "I64", shape: [], bytes: new Uint8Array(8).fill(3) },
    empty: { dtype: "F16", shape: [0, 7], bytes: new Uint8Array() },
    "lm_head.weight": { dtype: "F16", shape: [2, 2], bytes: new Uint8Array(8).fill(4) },
  });

test("a sound header gives every tensor's place", async () => {
  const file = sound();
  const tensors = await readHeader(source(file));
  expect([...tensors.keys()]).toEqual([
    "model.embed.weight",
    "model.norm.weight",
    "ids é\n",
    "empty",
    "lm_head.weight",
  ]);
  expect(tensors.get("lm_head.weight")).toMatchObject({
    dtype: "F16",
    shape: [2, 2],
    offset: file.length - 8,
    byteLength: 8,
  });
  const norm = tensors.get("model.norm.weight")!;
  expect(await norm.source.read(norm.offset, norm.byteLength)).toEqual(new Uint8Array(6).fill(2));
});

test("spaces after the header, a dtype of tomorrow and odd names are no fault", async () => {
  const header =
    '{"__proto__":{"dtype":"F9_NEW","shape":[5],"data_offsets":[0,7]},' +
    '"constructor":{"dtype":"U8","shape":[1],"data_offsets":[7,8],"later":{"x":[1]}}}   ';
  const tensors = await readHeader(source(assemble(header, new Uint8Array(8))));
  expect(tensors.get("__proto__")).toMatchObject({ dtype: "F9_NEW", byteLength: 7 });
  expect(tensors.get("constructor")).toMatchObject({ dtype: "U8", byteLength: 1 });
  expect(tensors.get("toString")).toBeUndefined();
});

const one = (fields: string) => `{"a":{${fields}}}`;
const FAULTS: [name: string, header: string, dataBytes: number, message: RegExp][] = [
  ["no object", "[1,2]", 0, /does not begin with "\{"/],
  ["broken JSON", '{"a":{"dtype":"F32"', 0, /not valid JSON: expected "}"/],
  ["text after it", "{} x", 0, /text after the end/],
  ["a repeated tensor", '{"a":1,"a":2}', 0, /the key "a" is repeated at 7/],
  ["a repeated field", one('"dtype":"U8","dtype":"U8"'), 0, /"dtype" is repeated/],
  ["a tensor that is a number", '{"a":1}', 0, /"a" is not described/],
  ["no dtype", one('"shape":[1],"data_offsets":[0,4]'), 4, /has no dtype/],
  ["a dtype that is null", one('"dtype":null,"shape":[1],"data_offsets":[0,4]'), 4, /no dtype/],
  ["no shape", one('"dtype":"F32","data_offsets":[0,4]'), 4, /no list of sizes/],
  ["a negative size", one('"dtype":"F32","shape":[-1],"data_offsets":[0,4]'), 4, /list of sizes/],
  ["a broken size", one('"dtype":"F32","shape":[1.5],"data_offsets":[0,4]'), 4, /list of sizes/],
  [
    "a size of 2^53",
    one('"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]'),
    4,
    /list/,
  ],
  [
    "a product past 2^53",
    one('"dtype":"F32","shape":[4503599627370496,4096,0],"data_offsets":[0,4]'),
    4,
    /needs 0/,
  ],
  ["no offsets", one('"dtype":"F32","shape":[1]'), 4, /no pair of data_offsets/],
  ["three offsets", one('"dtype":"F32","shape":[1],"data_offsets":[0,4,8]'), 4, /no pair/],
  ["offsets backwards", one('"dtype":"F32","shape":[1],"data_offsets":[4,0]'), 4, /lies at 4 to 0/],
  ["data past the end", one('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), 4, /lies at 0 to 8/],
  ["a wrong length", one('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), 4, /needs 8/],
  ["data nobody owns", one('"dtype":"F32","shape":[1],"data_offsets":[0,4]'), 5, /tensors end at/],
  ["no tensor but data", "{}", 5, /tensors end at/],
  [
    "an overlap",
    '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}',
    6,
    /"b" overlaps/,
  ],
  [
    "a hole",
    '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}',
    6,
    /"b" leaves a hole/,
  ],
  ["metadata that is no text", '{"__metadata__":{"a":1}}', 0, /__metadata__/],
  ["deep nesting", `{"a":${"[".repeat(100_000)}`, 0, /nested deeper/],
];

describe("refuses", () => {
  test.each(FAULTS)("%s", async (_, header, dataBytes, message) => {
    const error = await readHeader(source(assemble(header, new Uint8Array(dataBytes)))).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(WeftError);
    expect(error).toMatchObject({ code: "bad_safetensors" });
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^m\.safetensors .*; download it again$/s);
  });

  test("a file of no bytes, and one cut at every length", async () => {
    const file = sound();
    for (let length = 0; length < file.length; length++) {
      await expect(readHeader(source(file.slice(0, length)))).rejects.toMatchObject({
        code: "bad_safetensors",
      });
    }
  });

  test("text that is not UTF-8", async () => {
    const file = sound();
    file[30] = 0xff;
    await expect(readHeader(source(file))).rejects.toThrow(/no UTF-8/);
  });

  test("a header longer than the file, before allocating it", async () => {
    const reads: number[] = [];
    for (const declared of [17n, 1n << 31n, (1n << 53n) + 1n, (1n << 64n) - 1n]) {
      const file = watched(source(assemble("{}", new Uint8Array(14), declared)), reads);
      await expect(readHeader(file)).rejects.toThrow(/claims \d+ bytes, the file has 16/);
    }
    expect(reads).toEqual([8, 8, 8, 8]);
  });

  test("a header above the format's limit in a file that is large enough", async () => {
    const reads: number[] = [];
    const file: ByteSource = {
      name: "huge.safetensors",
      sizeBytes: 2 ** 40,
      read: async () =>
        bytesOf(new BigUint64Array([100_000_001n])).slice() as Uint8Array<ArrayBuffer>,
    };
    await expect(readHeader(watched(file, reads))).rejects.toThrow(/allows 100000000/);
    expect(reads).toEqual([8]);
  });
});

test("mutants give tensors inside the file or a typed error", async () => {
  const count = scale("safetensors-mutants", 500, 10_000);
  const random = generator(0x5afe);
  let parsed = 0;
  let slowestMs = 0;
  for (let i = 0; i < count; i++) {
    const file = mutant(sound(), random);
    const reads: number[] = [];
    const started = performance.now();
    try {
      const tensors = await readHeader(watched(source(file), reads));
      parsed++;
      const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
      const owners = new Uint8Array(file.length - dataStart);
      for (const { offset, byteLength, shape } of tensors.values()) {
        expect(offset).toBeGreaterThanOrEqual(dataStart);
        expect(offset + byteLength).toBeLessThanOrEqual(file.length);
        expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true);
        for (let at = 0; at < byteLength; at++) owners[offset - dataStart + at]++;
      }
      expect(owners.every((count) => count === 1)).toBe(true);
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      expect(error.code).toBe("bad_safetensors");
    }
    slowestMs = Math.max(slowestMs, performance.now() - started);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(file.length);
  }
  // Both kinds must occur, or the mutations are too wild or too tame.
  expect(parsed).toBeGreaterThan(count * 0.02);
  expect(parsed).toBeLessThan(count * 0.5);
  expect(slowestMs).toBeLessThan(1000);
  report("safetensors-mutants", { mutants: count, parsed, refused: count - parsed, slowestMs });
});

const NUMBERS = ["-1", "0", "1.5", "1e3", "1e400", "9007199254740993", "null", '"4"', "[]", "48"];
const WORDS = ["F32", "F16", "BF16", "F64", "I4", "__proto__", "__metadata__", "dtype", "shape"];

/** One to three faults of the kinds that broken writers, cut downloads and attackers make. */
function mutant(file: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const declared = Number(new DataView(file.buffer).getBigUint64(0, true));
  let header = new TextDecoder().decode(file.subarray(8, 8 + declared));
  let data = file.slice(8 + declared);
  let length: bigint | undefined;
  const replaceOne = (pattern: RegExp, by: string) => {
    const matches = [...header.matchAll(pattern)];
    if (matches.length === 0) return;
    const { index, 0: found } = matches[random(matches.length)];
    header = header.slice(0, index) + by + header.slice(index + found.length);
  };
  for (let faults = 1 + random(3); faults > 0; faults--) {
    const at = random(header.length + 1);
    switch (random(9)) {
      case 0:
        header = header.slice(0, at) + String.fromCharCode(random(256)) + header.slice(at + 1);
        break;
      case 1:
        header = header.slice(0, at) + header.slice(at + 1 + random(20));
        break;
      case 2:
        header = header.slice(0, at) + header.slice(random(header.length + 1)).slice(0, 200);
        break;
      case 3:
        replaceOne(/\d+/g, random(2) ? NUMBERS[random(NUMBERS.length)] : String(random(64)));
        break;
      case 4:
        replaceOne(/(?<=")[\w. ]+(?=")/g, WORDS[random(WORDS.length)]);
        break;
      case 5:
        data = data.slice(0, random(data.length + 1));
        break;
      case 6:
        data = Uint8Array.from([...data, ...new Uint8Array(random(40))]);
        break;
      case 7:
        length = random(2) ? BigInt(random(header.length * 2)) : 1n << BigInt(random(64));
        break;
      default:
        header += " ".repeat(random(9));
    }
  }
  return assemble(header, data, length);
}
