/**
 * From what the user gives as `model` to a folder: http(s) URL, `hf:org/name`, `random:SHAPE`, a
 * local path where the runtime has a file system, or a GGUF file as a Blob. A name that ends in
 * `.gguf` is such a file.
 */
import { blobSource } from "../weights/byte-source.ts";
import { ggufModel } from "./gguf-model.ts";
import { remoteFolder } from "./http-folder.ts";
import type { ModelFolder } from "./model-folder.ts";
import { randomModel } from "./random-model.ts";
import { badLocation, type HubOptions, remoteModel } from "./remote-model.ts";

/** What the door of the runtime brings in; a browser has none. */
export type OpenLocalFolder = (path: string) => ModelFolder;

/** Opens nothing yet. @throws {WeftError} `bad_request` for a location nothing here can open. */
export function openModelFolder(
  model: string | Blob,
  openLocal?: OpenLocalFolder,
  hub?: HubOptions,
): ModelFolder {
  if (typeof model !== "string") return blobModel(model);
  const remote = remoteModel(model, hub);
  if (remote) return remoteFolder(remote);
  if (model.startsWith("random:")) return randomModel(model);
  // A drive letter is one character; a scheme has more.
  if (/^[a-z][a-z0-9+.-]+:/i.test(model)) throw badLocation(model, "has an unknown scheme");
  if (model === "") throw badLocation(model, "is empty");
  if (!openLocal) throw badLocation(model, "is a local path, and this runtime has no file system");
  return openLocal(model);
}

function blobModel(blob: Blob): ModelFolder {
  const name = "name" in blob && typeof blob.name === "string" ? blob.name : "blob";
  return ggufModel(name, async () => blobSource(blob, name));
}

/** `hf:org/name` or `hf:org/name@revision`. */
export const huggingFaceUrl = (model: string, hub?: HubOptions): string =>
  remoteModel(model, hub)!.location;
