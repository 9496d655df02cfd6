// Which vitest project a test runs in. Knows nothing of devices.

import { inject } from "vitest";

/** `reference` has no GPU; the others name the driver behind the adapter. */
export type Project = "reference" | "lavapipe" | "swiftshader" | "chromium";

declare module "vitest" {
  interface ProvidedContext {
    "weft-project": Project;
  }
}

/** The project of the running test file; works in Node and in the browser. */
export function project(): Project {
  return inject("weft-project");
}
