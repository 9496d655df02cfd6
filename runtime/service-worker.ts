/**
 * What service workers lack: `import()`, by which most of an engine comes. Owns telling what to do instead. A script
 * that was built into one file has no import() left, and works.
 */
import { WeftError } from "./errors.ts";

/** @throws {WeftError} `bad_config` for what import() fails with in a service worker; else what `made` throws. */
export async function withImports<T>(made: Promise<T>): Promise<T> {
  try {
    return await made;
  } catch (error) {
    if (!("ServiceWorkerGlobalScope" in globalThis) || !isImport(error)) throw error;
    throw new WeftError(
      "bad_config",
      "service workers have no import(), by which this engine's parts would come; build the service worker " +
        "into one file (esbuild without --splitting), or connectEngine to the engine of a page's worker",
      { cause: error },
    );
  }
}

/** Browsers word it differently, and name imports all of them. */
function isImport(error: unknown): boolean {
  const { cause = error } = error as { cause?: unknown };
  return cause instanceof TypeError && /\bimport\b/i.test(cause.message);
}
