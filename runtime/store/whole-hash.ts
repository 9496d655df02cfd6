/** SHA-256 of more than memory holds, in WebAssembly: the platform's own takes all bytes at once. */
import { createSHA256 } from "hash-wasm";
import type { RunningHash } from "./file-store.ts";

export async function sha256Running(): Promise<RunningHash> {
  const hash = await createSHA256();
  hash.init();
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => hash.digest("hex"),
  };
}
