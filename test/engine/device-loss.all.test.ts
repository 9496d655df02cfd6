// Streams survive the loss of their device, on every driver (Chromium: test/browser).

import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { lossSuite } from "./loss-suite.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

/** SwiftShader compiles all pipelines anew, for seconds: there, and in Chromium, in soak. */
const numInGate = { reference: 4, lavapipe: 10, swiftshader: 0, chromium: 0 }[project()];
const count = scale("loss", numInGate, project() === "swiftshader" ? 10 : 100);

if (count > 0) {
  lossSuite({
    platform: nodePlatform,
    folder: shallowFolder(demoFolder(), 2),
    count,
    timeoutMs: scale("loss", 120_000, 3_600_000),
  });
} else {
  const { test } = await import("vitest");
  test.skip("in soak: a loss takes SwiftShader seconds; the gate has llvmpipe's and the reference device's", () => {});
}
