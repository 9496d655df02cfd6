/** What requests call a model, by where it comes from: `org/name` of a hub's, else a folder's or file's name. */
import type { ModelFolder } from "./model-folder.ts";

export function modelName(model: string | Blob | ModelFolder): string {
  if (model instanceof Blob) return fileName((model as Partial<File>).name ?? "model");
  const location = typeof model === "string" ? model : model.location;
  const hub = /^hf:([^/@]+\/[^/@]+)/.exec(location);
  return hub ? hub[1] : fileName(location);
}

const fileName = (location: string): string => {
  const path = location.replace(/[?#].*$/, "").replace(/[/\\]+$/, "");
  return path.slice(path.search(/[^/\\]*$/)).replace(/\.gguf$/i, "") || "model";
};
