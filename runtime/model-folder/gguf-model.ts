/** A GGUF file that nothing was asked of yet: what reads it is imported then, since few pages need it. */
import type { ByteSource } from "../weights/byte-source.ts";
import type { ModelFolder } from "./model-folder.ts";

/** @param openSource As for `ggufFolder`. */
export function ggufModel(
  location: string,
  openSource: (signal?: AbortSignal) => Promise<ByteSource>,
): ModelFolder {
  let folder: Required<ModelFolder> | undefined;
  const imported = async () => {
    const { ggufFolder } = await import("./gguf-folder.ts");
    folder ??= ggufFolder(location, openSource);
    return folder;
  };
  return {
    location,
    open: async (name, signal) => (await imported()).open(name, signal),
    checkpoint: async (signal) => (await imported()).checkpoint(signal),
  };
}
