/**
 * The header of a GGUF file, version 2 or 3: metadata, and tensors that lie inside the file, do not
 * overlap, and have the length that type and shape say. Refuses all else, big-endian files by name.
 *
 * Layout: magic, u32 version, u64 tensors, u64 metadata pairs, the pairs, the tensors' descriptions,
 * padding, the data; offsets count from the start of the data.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import type { ByteSource } from "./byte-source.ts";
import { GgufReader, type NumberArray } from "./gguf-reader.ts";
import {
  type ScalarTypeName,
  TENSOR_TYPES,
  type TensorType,
  VALUE_TYPES,
  type ValueTypeName,
} from "./gguf-types.ts";

const DEFAULT_ALIGNMENT = 32;
/** ggml's own limit. */
const MAX_DIMS = 4;
/** Far above any model. An entry takes more memory than it takes bytes in the file. */
const MAX_ENTRIES = 65_536;
/** The least that a pair (length of its key, type, value) and a tensor's description take. */
const MIN_PAIR_BYTES = 8 + 4 + 1;
const MIN_TENSOR_BYTES = 8 + 4 + 4 + 8;

export type GgufValue =
  | { readonly type: ScalarTypeName; readonly value: number | bigint | boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "array"; readonly elements: "string"; readonly value: readonly string[] }
  | { readonly type: "array"; readonly elements: ScalarTypeName; readonly value: NumberArray };

export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Rows before columns, the other way round than in the file. */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  /** Of the file, for messages. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly version: number;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** @throws {WeftError} `bad_gguf`, and what reading throws. */
export async function readGgufHeader(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<GgufHeader> {
  const reader = new GgufReader(source, signal);
  const version = await readVersion(reader);
  const numTensors = await count(reader, "tensors", MIN_TENSOR_BYTES);
  const numPairs = await count(reader, "metadata pairs", MIN_PAIR_BYTES);
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < numPairs; i++) {
    const key = await reader.string(`the key of metadata pair ${i}`);
    if (values.has(key)) throw reader.bad(`the metadata key ${shown(key)} is repeated`);
    values.set(key, await readValue(reader, key));
  }
  const infos: TensorInfo[] = [];
  for (let i = 0; i < numTensors; i++) infos.push(await readTensorInfo(reader, i));
  const alignment = readAlignment(reader, values.get("general.alignment"));
  const dataStart = Math.ceil(reader.offset / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const info of infos) {
    if (tensors.has(info.name)) throw reader.bad(`the tensor ${shown(info.name)} is repeated`);
    tensors.set(info.name, place(reader, info, dataStart, alignment, source.sizeBytes));
  }
  checkOverlap(reader, tensors);
  return { name: source.name, sizeBytes: source.sizeBytes, version, values, tensors };
}

async function readVersion(reader: GgufReader): Promise<number> {
  const magic = await reader.u32();
  // "GGUF" as a little-endian word.
  if (magic !== 0x46554747) throw reader.bad('it does not begin with "GGUF"');
  const version = await reader.u32();
  if (version === 2 || version === 3) return version;
  if ((version & 0xffff) === 0) {
    throw reader.bad("it is big-endian", "take the little-endian file, which is the usual one");
  }
  throw reader.bad(`it has version ${version}, versions 2 and 3 are read`, "convert it anew");
}

async function count(reader: GgufReader, what: string, minBytes: number): Promise<number> {
  const claimed = await reader.size(`the number of ${what}`);
  if (claimed * minBytes > reader.left) {
    throw reader.bad(`it claims ${claimed} ${what}, ${reader.left} bytes are left for them`);
  }
  if (claimed > MAX_ENTRIES) {
    throw reader.bad(`it claims ${claimed} ${what}, at most ${MAX_ENTRIES} are read`);
  }
  return claimed;
}

async function readValue(reader: GgufReader, key: string): Promise<GgufValue> {
  const type = await valueType(reader, key);
  const what = `metadata ${shown(key)}`;
  if (type === "string") return { type, value: await reader.string(what) };
  if (type !== "array") return { type, value: await reader.scalar(type) };
  const elements = await valueType(reader, key);
  const length = await reader.size(`the length of ${what}`);
  if (elements === "array") throw reader.bad(`${what} is an array of arrays, which no key needs`);
  if (elements === "string") return { type, elements, value: await reader.strings(length, what) };
  return { type, elements, value: await reader.numbers(length, elements, what) };
}

async function valueType(reader: GgufReader, key: string): Promise<ValueTypeName> {
  const id = await reader.u32();
  const type = VALUE_TYPES[id];
  if (type) return type;
  throw reader.bad(`metadata ${shown(key)} has value type ${id}, types end at 12`);
}

interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  /** From the start of the data. */
  readonly offset: number;
}

async function readTensorInfo(reader: GgufReader, index: number): Promise<TensorInfo> {
  const name = await reader.string(`the name of tensor ${index}`);
  const what = `tensor ${shown(name)}`;
  const numDims = await reader.u32();
  if (numDims > MAX_DIMS)
    throw reader.bad(`${what} has ${numDims} dimensions, at most 4 are known`);
  const sizes: number[] = [];
  for (let i = 0; i < numDims; i++) sizes.push(await reader.size(`a dimension of ${what}`));
  const type = await reader.u32();
  const offset = await reader.size(`the offset of ${what}`);
  return { name, shape: sizes.reverse(), type, offset };
}

function readAlignment(reader: GgufReader, given: GgufValue | undefined): number {
  if (given === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = given;
  if (type === "u32" && Number(value) >= 8 && Number.isInteger(Math.log2(Number(value)))) {
    return Number(value);
  }
  throw reader.bad(`its general.alignment (${type}) is no power of two from 8 on`);
}

function place(
  reader: GgufReader,
  { name, shape, type: id, offset }: TensorInfo,
  dataStart: number,
  alignment: number,
  fileBytes: number,
): GgufTensor {
  const fault = (what: string) => reader.bad(`tensor ${shown(name)} ${what}`);
  const type = TENSOR_TYPES.get(id);
  if (!type) throw fault(`has type ${id}, which is none of ggml's`);
  const { blockWeights, blockBytes } = type;
  const columns = shape.at(-1) ?? 1;
  if (columns % blockWeights !== 0) {
    throw fault(`has rows of ${columns}, ${type.name} needs whole blocks of ${blockWeights}`);
  }
  // A product past 2^53 is no longer exact, but then it is larger than any file.
  const elements = shape.reduce((product, size) => product * size, 1);
  const byteLength = (elements / blockWeights) * blockBytes;
  if (offset % alignment !== 0) throw fault(`begins at ${offset}, no multiple of ${alignment}`);
  const dataBytes = Math.max(0, fileBytes - dataStart);
  if (!(offset + byteLength <= dataBytes)) {
    throw fault(
      `of ${type.name} [${shape}] lies at ${offset} to ${offset + byteLength}, the file holds ` +
        `${dataBytes} bytes of data`,
    );
  }
  return { name, type, shape, offset: dataStart + offset, byteLength };
}

/** Holes are padding. */
function checkOverlap(reader: GgufReader, tensors: ReadonlyMap<string, GgufTensor>): void {
  const byOffset = [...tensors.values()]
    .filter(({ byteLength }) => byteLength > 0)
    .sort((a, b) => a.offset - b.offset);
  byOffset.forEach(({ name, offset }, i) => {
    const before = byOffset[i - 1];
    if (before && before.offset + before.byteLength > offset) {
      throw reader.bad(`tensors ${shown(before.name)} and ${shown(name)} overlap at ${offset}`);
    }
  });
}

/** Names come from the file and may be long. */
function shown(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}
