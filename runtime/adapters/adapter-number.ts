/** Which adapter a request names: 0 is the base model. */
import { WeftError } from "../errors.ts";

/** @throws {WeftError} `bad_request` for a name that the engine was not given. */
export function adapterNumber(names: readonly string[], name: string | undefined): number {
  if (name === undefined) return 0;
  const index = names.indexOf(name);
  if (index >= 0) return index + 1;
  throw new WeftError(
    "bad_request",
    `adapter is ${JSON.stringify(name)}, this engine has ${names.map((known) => JSON.stringify(known)).join(", ") || "none"}; ` +
      "name one of them, or create the engine with it (adapters)",
    { param: "adapter" },
  );
}
