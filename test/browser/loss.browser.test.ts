// Streams survive the loss of their device in Chromium, too. In soak: each time, SwiftShader compiles
// all pipelines anew.

import { test } from "vitest";
import { httpFolder } from "../../runtime/model-folder/http-folder.ts";
import { lossSuite } from "../engine/loss-suite.ts";
import { shallowFolder } from "../engine/shallow-folder.ts";
import { scale } from "../harness/soak.ts";

const count = scale("loss", 0, 5);

if (count === 0) {
  test.skip("in soak: a loss takes SwiftShader ten seconds; in Node the gate loses llvmpipe's and the reference device", () => {});
} else {
  lossSuite({
    platform: { gpu: async () => navigator.gpu, runtime: "test", quantumMs: 8 },
    folder: shallowFolder(httpFolder(new URL("/assets/demo/", location.href).href), 2),
    count,
    timeoutMs: 3_600_000,
  });
}
