/** A folder on a server: each file is the base URL and its name. The base's query is kept. */
import { WeftError } from "../errors.ts";
import { type HttpOptions, openHttp } from "../weights/http-source.ts";
import { checkFileName, type ModelFolder, notFound } from "./model-folder.ts";

/** @param options Without a signal: each call brings its own. */
export function httpFolder(
  baseUrl: string,
  options: Omit<HttpOptions, "signal"> = {},
): ModelFolder {
  const base = new URL(baseUrl);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const location = base.origin + base.pathname;
  return {
    location,
    async open(name, signal) {
      checkFileName(name);
      const url = new URL(base);
      url.pathname += name.split("/").map(encodeURIComponent).join("/");
      try {
        return await openHttp(url.href, { ...options, signal });
      } catch (error) {
        if (error instanceof WeftError && error.code === "file_not_found") {
          throw notFound(name, location, error);
        }
        throw error;
      }
    },
  };
}
