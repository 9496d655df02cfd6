/** A folder on a server, or a GGUF file there, read by ranges. Owns no URL: those are the remote model's. */
import { WeftError } from "../errors.ts";
import { openHttp } from "../weights/http-source.ts";
import type { HttpOptions } from "../weights/range-client.ts";
import { ggufModel } from "./gguf-model.ts";
import { type ModelFolder, notFound } from "./model-folder.ts";
import { type RemoteModel, remoteAt } from "./remote-model.ts";

/** @param options Without a signal: each call brings its own. */
export const httpFolder = (
  baseUrl: string,
  options: Omit<HttpOptions, "signal"> = {},
): ModelFolder => remoteFolder(remoteAt(new URL(baseUrl)), options);

export function remoteFolder(
  remote: RemoteModel,
  options: Omit<HttpOptions, "signal"> = {},
): ModelFolder {
  const { location, headers } = remote;
  const open = (name: string, signal?: AbortSignal) =>
    openHttp(remote.fileUrl(name), { ...options, headers, signal });
  if (remote.isFile) return ggufModel(location, (signal) => open("", signal));
  return {
    location,
    async open(name, signal) {
      try {
        return await open(name, signal);
      } catch (error) {
        if (error instanceof WeftError && error.code === "file_not_found") {
          throw notFound(name, location, error);
        }
        throw error;
      }
    },
  };
}
