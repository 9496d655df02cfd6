// The engine suite in Node, on every driver. On SwiftShader a step of all layers takes a second, and
// Chromium runs the whole suite there (test/browser): here it runs what depends on the driver.

import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";

const slow = project() === "swiftshader";

engineSuite(
  opener({
    platform: nodePlatform,
    folder: slow ? shallowFolder(demoFolder(), 1) : demoFolder(),
    device: project() === "reference" ? "reference" : "gpu",
  }),
  {
    names: slow ? ["batching", "ending"] : undefined,
    abortRuns: scale("aborts", 3, 300),
  },
);
