/**
 * A model's files under one roof: a directory, a base URL or a set of blobs. Owns what a file may
 * be called. Refuses names that lead out of the folder.
 */
import { throwIfAborted, WeftError } from "../errors.ts";
import { type ByteSource, blobSource } from "../weights/byte-source.ts";
import type { Checkpoint } from "../weights/checkpoint.ts";

/** Larger text files are refused; the largest tokenizer.json known is about 35 MB. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024;
const PIECE_BYTES = 8 * 1024 * 1024;

export interface ModelFolder {
  /** Path or URL, for messages. */
  readonly location: string;
  /**
   * @param name Path below the folder, with `/` between its parts.
   * @throws {WeftError} `file_not_found`, `bad_file` for a name that leads out of the folder.
   */
  open(name: string, signal?: AbortSignal): Promise<ByteSource>;
  /** The weights, where they are not safetensors files of this folder. */
  checkpoint?(signal?: AbortSignal): Promise<Checkpoint>;
}

/** @throws {WeftError} `file_not_found`, `bad_file` when the file is huge or not UTF-8. */
export async function readText(
  folder: ModelFolder,
  name: string,
  signal?: AbortSignal,
): Promise<string> {
  const source = await folder.open(name, signal);
  try {
    const { sizeBytes } = source;
    if (sizeBytes > MAX_TEXT_BYTES) {
      throw new WeftError(
        "bad_file",
        `${source.name} has ${sizeBytes} bytes, a text file may have ${MAX_TEXT_BYTES}; ` +
          `download it again`,
      );
    }
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let text = "";
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
      const piece = await source.read(at, Math.min(PIECE_BYTES, sizeBytes - at), signal);
      text += decode(decoder, piece, source.name);
    }
    return text + decode(decoder, undefined, source.name);
  } finally {
    await source.close?.();
  }
}

/** The text, or undefined where there is no such file. */
export async function readOptionalText(
  folder: ModelFolder,
  name: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    return await readText(folder, name, signal);
  } catch (error) {
    if (error instanceof WeftError && error.code === "file_not_found") return undefined;
    throw error;
  }
}

/** Files by name, e.g. what a page's folder picker gave. */
export function blobFolder(files: ReadonlyMap<string, Blob>, location = "folder"): ModelFolder {
  return {
    location,
    async open(name, signal) {
      throwIfAborted(signal);
      checkFileName(name);
      const blob = files.get(name);
      if (!blob) throw notFound(name, location);
      return blobSource(blob, `${location}/${name}`);
    },
  };
}

/** Names come from index files too, so they are checked before a path or URL is made of them. */
export function checkFileName(name: string): void {
  const parts = name.split("/");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it refuses.
  const odd = /[\u0000-\u001f\\:?#%*<>|"]/.test(name);
  if (!odd && parts.every((part) => part !== "" && part !== "." && part !== "..")) return;
  throw new WeftError(
    "bad_file",
    `${JSON.stringify(name)} cannot name a file of a model folder: a name is relative, without ` +
      `"..", backslash, colon or wildcard`,
  );
}

/** The folder lacks a file, whatever kind of folder it is. */
export function notFound(name: string, location: string, cause?: unknown): WeftError {
  return new WeftError(
    "file_not_found",
    `${location} has no file ${name}; give a folder in Hugging Face layout, with config.json, ` +
      `tokenizer.json and model.safetensors`,
    { cause },
  );
}

function decode(decoder: TextDecoder, piece: Uint8Array | undefined, name: string): string {
  try {
    return piece ? decoder.decode(piece, { stream: true }) : decoder.decode();
  } catch (cause) {
    throw new WeftError("bad_file", `${name} is not UTF-8 text; download it again`, { cause });
  }
}
