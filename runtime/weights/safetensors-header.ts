/**
 * The header of a safetensors file: from bytes to tensors that lie inside the file, cover it
 * without hole or overlap, and have the length that dtype and shape say. Refuses all else.
 *
 * Layout: u64 length N, N bytes of JSON, the data; offsets count from the start of the data.
 * @see https://github.com/huggingface/safetensors#format
 */
import { WeftError } from "../errors.ts";
import { JsonError, type JsonValue, parseStrictJson } from "../model-folder/strict-json.ts";
import type { ByteSource } from "./byte-source.ts";
import type { TensorEntry } from "./checkpoint.ts";
import { SAFETENSORS_BITS } from "./dtype.ts";

/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

/** @throws {WeftError} `bad_safetensors`, and what reading throws. */
export async function readHeader(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<Map<string, TensorEntry>> {
  if (source.sizeBytes < 8) {
    throw bad(source, `it has ${source.sizeBytes} bytes, a header needs 8`);
  }
  const prefix = await source.read(0, 8, signal);
  const declared = new DataView(prefix.buffer).getBigUint64(0, true);
  const room = source.sizeBytes - 8;
  // Checked before anything of that length is allocated.
  if (declared > BigInt(room)) {
    throw bad(source, `its header claims ${declared} bytes, the file has ${room} after the length`);
  }
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw bad(source, `its header claims ${declared} bytes, the format allows ${MAX_HEADER_BYTES}`);
  }
  const headerBytes = Number(declared);
  const header = parse(await source.read(8, headerBytes, signal), source);
  const dataStart = 8 + headerBytes;
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of header) {
    if (name === "__metadata__") checkMetadata(value, source);
    else entries.set(name, tensorEntry(name, value, source, dataStart));
  }
  checkCoverage(entries, source, dataStart);
  return entries;
}

function parse(bytes: Uint8Array, source: ByteSource): Map<string, JsonValue> {
  if (bytes[0] !== 0x7b) throw bad(source, 'its header does not begin with "{"');
  let value: JsonValue;
  try {
    value = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const why = cause instanceof JsonError ? `${cause.message} at ${cause.position}` : "no UTF-8";
    throw bad(source, `its header is not valid JSON: ${why}`, cause);
  }
  // The text begins with a brace, so the value is an object.
  return value as Map<string, JsonValue>;
}

/** Strings by name. Nothing reads them; a file that breaks the format here is broken elsewhere. */
function checkMetadata(value: JsonValue, source: ByteSource): void {
  const ok = value instanceof Map && [...value.values()].every((v) => typeof v === "string");
  if (!ok) throw bad(source, "its __metadata__ is not an object of strings");
}

function tensorEntry(
  name: string,
  value: JsonValue,
  source: ByteSource,
  dataStart: number,
): TensorEntry {
  const fault = (what: string) => bad(source, `tensor ${shown(name)} ${what}`);
  if (!(value instanceof Map)) throw fault("is not described by an object");
  const dtype = value.get("dtype");
  if (typeof dtype !== "string") throw fault("has no dtype");
  const shape = value.get("shape");
  if (!isSizes(shape)) throw fault("has a shape that is no list of sizes");
  const offsets = value.get("data_offsets");
  if (!isSizes(offsets) || offsets.length !== 2) throw fault("has no pair of data_offsets");
  const [begin, end] = offsets;
  if (begin > end || dataStart + end > source.sizeBytes) {
    const dataBytes = source.sizeBytes - dataStart;
    throw fault(`lies at ${begin} to ${end}, the file holds ${dataBytes} bytes of data`);
  }
  const bits = SAFETENSORS_BITS.get(dtype);
  const elements = shape.reduce((product, size) => product * size, 1);
  // A dtype newer than this table cannot be checked, nor is it ever read.
  if (bits !== undefined && elements * bits !== (end - begin) * 8) {
    throw fault(
      `has ${end - begin} bytes, ${dtype} of shape [${shape.slice(0, 8)}] needs ` +
        `${(elements * bits) / 8}`,
    );
  }
  return { name, dtype, shape, source, offset: dataStart + begin, byteLength: end - begin };
}

function isSizes(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && Number(v) >= 0);
}

/** The format wants the data covered exactly, so that nothing hides in a file. */
function checkCoverage(
  entries: ReadonlyMap<string, TensorEntry>,
  source: ByteSource,
  dataStart: number,
): void {
  const byOffset = [...entries.values()].sort(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  );
  let covered = dataStart;
  for (const { name, offset, byteLength } of byOffset) {
    if (offset !== covered) {
      const what = offset < covered ? "overlaps the tensor before it" : "leaves a hole before it";
      throw bad(source, `tensor ${shown(name)} ${what}: it begins at ${offset}, not ${covered}`);
    }
    covered += byteLength;
  }
  if (covered !== source.sizeBytes) {
    throw bad(source, `its tensors end at ${covered}, the file has ${source.sizeBytes} bytes`);
  }
}

/** Names come from the file and may be long. */
function shown(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}

function bad(source: ByteSource, what: string, cause?: unknown): WeftError {
  return new WeftError(
    "bad_safetensors",
    `${source.name} is no sound safetensors file: ${what}; download it again`,
    { cause },
  );
}
