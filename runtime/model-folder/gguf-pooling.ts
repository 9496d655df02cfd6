/** How the texts of a GGUF file become embeddings, as sentence-transformers' 1_Pooling/config.json says it. */
import type { GgufHeader } from "../weights/gguf-header.ts";
import { GgufMetadata } from "../weights/gguf-metadata.ts";

/** llama.cpp's numbers; of 0 (none) and 4 (ranks, no vectors) nothing is said. */
const POOLINGS: Readonly<Record<number, string>> = {
  1: "pooling_mode_mean_tokens",
  2: "pooling_mode_cls_token",
  3: "pooling_mode_lasttoken",
};

/** @throws {WeftError} `bad_gguf` for metadata that is odd. */
export function ggufPooling(header: GgufHeader): Readonly<Record<string, boolean>> {
  const metadata = new GgufMetadata(header);
  const name = metadata.requiredText("general.architecture");
  const mode = POOLINGS[metadata.count(`${name}.pooling_type`) ?? 0];
  return mode === undefined ? {} : { [mode]: true };
}
