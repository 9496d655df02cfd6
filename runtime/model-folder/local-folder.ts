/** A directory or a GGUF file of Node's file system. Only `weft-llm/node` reaches this file. */
import { throwIfAborted, WeftError } from "../errors.ts";
import { openFile } from "../weights/file-source.ts";
import { ggufFolder } from "./gguf-folder.ts";
import { checkFileName, type ModelFolder, notFound } from "./model-folder.ts";

/** A path to a GGUF file, told by its name, or to a directory. */
export const localModel = (path: string): ModelFolder =>
  /\.gguf$/i.test(path) ? ggufFolder(path, () => openFile(path)) : localFolder(path);

export function localFolder(path: string): ModelFolder {
  const root = path.replace(/[/\\]+$/, "");
  return {
    location: path,
    async open(name, signal) {
      throwIfAborted(signal);
      checkFileName(name);
      try {
        return await openFile(`${root}/${name}`);
      } catch (error) {
        if (error instanceof WeftError && error.code === "file_not_found") {
          throw notFound(name, path, error);
        }
        throw error;
      }
    },
  };
}
