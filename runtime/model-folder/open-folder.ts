/**
 * From what the user gives as `model` to a folder: http(s) URL, `hf:org/name`, `random:SHAPE`, a
 * local path where the runtime has a file system, or a GGUF file as a Blob. A name that ends in
 * `.gguf` is such a file.
 */
import { WeftError } from "../errors.ts";
import { blobSource } from "../weights/byte-source.ts";
import { openHttp } from "../weights/http-source.ts";
import { ggufFolder } from "./gguf-folder.ts";
import { httpFolder } from "./http-folder.ts";
import type { ModelFolder } from "./model-folder.ts";
import { randomFolder } from "./random-folder.ts";
import { randomShapes } from "./random-shapes.ts";

/** What the door of the runtime brings in; a browser has none. */
export type OpenLocalFolder = (path: string) => ModelFolder;

/** Opens nothing yet. @throws {WeftError} `bad_request` for a location nothing here can open. */
export function openModelFolder(model: string | Blob, openLocal?: OpenLocalFolder): ModelFolder {
  if (typeof model !== "string") return blobModel(model);
  if (/^https?:\/\//i.test(model)) {
    if (!URL.canParse(model)) throw badLocation(model, "is no valid URL");
    return /\.gguf$/i.test(new URL(model).pathname) ? httpModel(model) : httpFolder(model);
  }
  if (model.startsWith("random:")) return randomModel(model);
  if (model.startsWith("hf:")) return httpFolder(huggingFaceUrl(model));
  // A drive letter is one character; a scheme has more.
  if (/^[a-z][a-z0-9+.-]+:/i.test(model)) throw badLocation(model, "has an unknown scheme");
  if (model === "") throw badLocation(model, "is empty");
  if (!openLocal) throw badLocation(model, "is a local path, and this runtime has no file system");
  return openLocal(model);
}

/**
 * Weights of noise in a known shape: for speed without a download. `random:NAME@2` has two layers of it,
 * where all do not fit.
 */
function randomModel(model: string): ModelFolder {
  const [, name = "", layers] = /^random:([^@]*)(?:@([1-9]\d{0,2}))?$/.exec(model) ?? [];
  const config = Object.hasOwn(randomShapes, name) ? randomShapes[name] : undefined;
  if (config) {
    return randomFolder({ ...config, ...(layers && { num_hidden_layers: Number(layers) }) }, model);
  }
  const known = Object.keys(randomShapes).join(", ");
  throw badLocation(model, `names no shape known here; there are ${known}`);
}

function blobModel(blob: Blob): ModelFolder {
  const name = "name" in blob && typeof blob.name === "string" ? blob.name : "blob";
  return ggufFolder(name, async () => blobSource(blob, name));
}

function httpModel(url: string): ModelFolder {
  return ggufFolder(url.replace(/[?#].*$/s, ""), (signal) => openHttp(url, { signal }));
}

/** `hf:org/name` or `hf:org/name@revision`. */
export function huggingFaceUrl(model: string): string {
  const match = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?$/.exec(model);
  if (!match) throw badLocation(model, "does not read hf:org/name");
  const [, repository, revision = "main"] = match;
  return `https://huggingface.co/${repository}/resolve/${revision}/`;
}

function badLocation(model: string, why: string): WeftError {
  return new WeftError(
    "bad_request",
    `model ${JSON.stringify(model)} ${why}; give an http(s) URL, hf:org/name or, in Node, a folder or a .gguf file`,
  );
}
