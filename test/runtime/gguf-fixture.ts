// GGUF files as Python `gguf` writes them (tools/gguf/make.py): vocabularies are kept whole, of a
// model only the front, and the rest is put together from the folder it was made of. The SHA-256 of
// Python's file proves that it is that file.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { numberToF16 } from "../../kernels/half.ts";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { blobFolder, type ModelFolder, readText } from "../../runtime/model-folder/model-folder.ts";
import { blobSource } from "../../runtime/weights/byte-source.ts";
import type { Checkpoint } from "../../runtime/weights/checkpoint.ts";
import { GGUF_DTYPES } from "../../runtime/weights/gguf-types.ts";
import { openCheckpoint } from "../../runtime/weights/open-checkpoint.ts";
import { readQuantisation } from "../../runtime/weights/quantisation-config.ts";
import { quantisedCheckpoint } from "../../runtime/weights/quantised-checkpoint.ts";
import { readFloat32, streamTensor } from "../../runtime/weights/stream.ts";
import index from "../fixtures/gguf/models.json" with { type: "json" };
import { safetensorsFile } from "./weights/safetensors-file.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const fixtures = path("../fixtures/gguf/");

export interface ModelFixture {
  readonly name: string;
  /** The folder it was made of, from the repository's root. */
  readonly source: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** In the file's order. */
  readonly tensors: readonly TensorFixture[];
}

interface TensorFixture {
  /** Hugging Face's. */
  readonly name: string;
  readonly dtype: string;
  /** Rows of a head, where its halves are interleaved. */
  readonly head_size?: number;
  /** Of a tensor that the folder does not have. */
  readonly values?: readonly number[];
  /** So many tensors in a row; * in the name stands for their numbers. */
  readonly experts?: number;
  /** Gates (0) or values (1) of so many matrices; row by row where a row's length is given. */
  readonly half?: { readonly index: number; readonly matrices: number; readonly row?: number };
  /** Added to each value. */
  readonly plus?: number;
}

export const modelFixtures: readonly ModelFixture[] = index;

export const vocabularyNames: readonly string[] = readdirSync(fixtures)
  .filter((name) => name.endsWith(".gguf"))
  .map((name) => name.slice(0, -5));

export const vocabularyFile = (name: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(`${fixtures}${name}.gguf`));

export const headOf = (name: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(`${fixtures}${name}.head`));

export const sourceFolder = ({ source }: ModelFixture): string => path(`../../${source}`);

/** The folder with its weights in the file's types, and other values in its config.json. */
export async function sameTypes(fixture: ModelFixture, changes: object): Promise<ModelFolder> {
  const path = sourceFolder(fixture);
  const files = localFolder(path);
  const old = JSON.parse(await readText(files, "config.json"));
  const config = new Blob([JSON.stringify({ ...old, ...changes })]);
  if (path.endsWith("/f32")) {
    const open: ModelFolder["open"] = async (name, signal) =>
      name === "config.json" ? blobSource(config, name) : files.open(name, signal);
    return { ...files, open };
  }
  const checkpoint = await openCheckpoint(files);
  const tensors: Record<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }> =
    {};
  for (const { name, dtype, values } of fixture.tensors) {
    if (values) continue;
    const tensor = checkpoint.tensor(name);
    const floats = await readFloat32(tensor);
    tensors[name] = { dtype, shape: tensor.shape, bytes: fromFloat32(floats, dtype) };
  }
  await checkpoint.close();
  const weights = new Blob([safetensorsFile(tensors)]);
  return blobFolder(
    new Map([
      ["config.json", config],
      ["model.safetensors", weights],
    ]),
  );
}

/** The whole file. */
export async function modelFile(fixture: ModelFixture): Promise<Uint8Array<ArrayBuffer>> {
  const head = headOf(fixture.name);
  const file = new Uint8Array(fixture.sizeBytes);
  file.set(head);
  const folder = localFolder(sourceFolder(fixture));
  const quantisation = readQuantisation(JSON.parse(await readText(folder, "config.json")));
  const checkpoint = await quantisedCheckpoint(await openCheckpoint(folder), quantisation);
  let at = head.length;
  for (const tensor of fixture.tensors) {
    const bytes =
      tensor.dtype === "MXFP4"
        ? await blocksOf(checkpoint, tensor)
        : fromFloat32(await floatsOf(checkpoint, tensor), tensor.dtype);
    file.set(bytes, at);
    at += Math.ceil(bytes.length / 32) * 32;
  }
  await checkpoint.close();
  const sum = createHash("sha256").update(file).digest("hex");
  if (sum !== fixture.sha256) throw new Error(`${fixture.name} is not the file that Python wrote`);
  return file;
}

async function floatsOf(
  checkpoint: Checkpoint,
  { name, head_size, values, experts, half, plus }: TensorFixture,
): Promise<Float32Array<ArrayBuffer>> {
  if (values) return Float32Array.from(values);
  if (experts) {
    const names = Array.from({ length: experts }, (_, e) => name.replace("*", `${e}`));
    const each = await Promise.all(names.map((own) => readFloat32(checkpoint.tensor(own))));
    return Float32Array.from(each.flatMap((floats) => [...floats]));
  }
  const tensor = checkpoint.tensor(name);
  const floats = await readFloat32(tensor);
  if (head_size) return interleave(floats, tensor.shape[0], head_size);
  if (half) return halfOf(floats, half);
  return plus ? floats.map((value) => value + plus) : floats;
}

/** ggml's blocks have no byte behind the exponent. */
async function blocksOf(
  checkpoint: Checkpoint,
  { name, half }: TensorFixture,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: number[] = [];
  for await (const { bytes } of streamTensor(checkpoint.tensor(name))) pieces.push(...bytes);
  const all = Uint8Array.from(pieces);
  return (half ? halfOf(all, half) : all).filter((_, i) => i % 18 !== 1);
}

function halfOf<A extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  all: A,
  { index, matrices, row = all.length / matrices / 2 }: NonNullable<TensorFixture["half"]>,
): A {
  return all.filter((_, i) => Math.floor(i / row) % 2 === index) as A;
}

/** Row h·H + p·H/2 + d to row h·H + 2·d + p. */
export function interleave(
  values: Float32Array<ArrayBuffer>,
  numRows: number,
  headSize: number,
): Float32Array<ArrayBuffer> {
  const columns = values.length / numRows;
  const out = new Float32Array(values.length);
  for (let row = 0; row < numRows; row++) {
    const inHead = row % headSize;
    const half = headSize / 2;
    const to = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}

function fromFloat32(values: Float32Array<ArrayBuffer>, dtype: string): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.buffer);
  if (dtype.startsWith("Q")) return weightFormats[GGUF_DTYPES.get(dtype)!].encode(values);
  const halves =
    dtype === "F16"
      ? Uint16Array.from(values, numberToF16)
      : new Uint16Array(values.buffer).filter((_, i) => i % 2 === 1);
  return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
}
