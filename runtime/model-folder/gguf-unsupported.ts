/** How a GGUF file is refused whose metadata no model file of ours computes. */
import { WeftError } from "../errors.ts";
import type { GgufHeader } from "../weights/gguf-header.ts";

/** @param what The key and its value. */
export function unsupported(
  { name }: GgufHeader,
  what: string,
  supported: string,
  cure = "choose another model of these families",
): WeftError {
  return new WeftError(
    "unsupported_model",
    `${name} has ${what}, Weft computes ${supported}; ${cure}`,
  );
}
