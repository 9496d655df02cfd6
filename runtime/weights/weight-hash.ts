/** Tells the weights of one model from those of another without reading them all. */
import { type ModelFolder, readText } from "../model-folder/model-folder.ts";
import { sha256Hex } from "../sha256.ts";
import type { TensorEntry } from "./checkpoint.ts";
import { openCheckpoint } from "./open-checkpoint.ts";

/** Tensors of which a piece is read: so many, spread over all by name. */
const SAMPLED_TENSORS = 64;
/** From the middle of each: training changes nearly every value, and beginnings may be padding. */
const PIECE_BYTES = 4096;

/**
 * SHA-256 over config.json, the headers of all tensors and 4 KiB out of the middle of 64 of them: about
 * 256 KiB are read of a model of any size. Two models that differ in tensors not sampled have one hash.
 * @throws {WeftError} what reading the folder throws.
 */
export async function weightHash(folder: ModelFolder, signal?: AbortSignal): Promise<string> {
  const config = await readText(folder, "config.json", signal);
  const checkpoint = await openCheckpoint(folder, signal);
  try {
    const entries = [...checkpoint.tensors].sort(([a], [b]) => (a < b ? -1 : 1));
    const headers = entries.map(([name, { dtype, shape }]) => [name, dtype, shape]);
    const count = Math.min(SAMPLED_TENSORS, entries.length);
    const sampled = Array.from({ length: count }, (_, i) => {
      return entries[Math.floor(((i + 0.5) * entries.length) / count)][1];
    });
    const pieces: Uint8Array[] = [new TextEncoder().encode(JSON.stringify([config, headers]))];
    for (const entry of sampled) pieces.push(await middleOf(entry, signal));
    return await sha256(pieces);
  } finally {
    await checkpoint.close();
  }
}

function middleOf({ source, offset, byteLength }: TensorEntry, signal?: AbortSignal) {
  const length = Math.min(PIECE_BYTES, byteLength);
  return source.read(offset + Math.floor((byteLength - length) / 2), length, signal);
}

function sha256(pieces: readonly Uint8Array[]): Promise<string> {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return sha256Hex(bytes);
}
