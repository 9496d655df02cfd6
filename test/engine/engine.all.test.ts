// The engine suite in Node, on every driver; all layers of the demo model run in demo.all.test.ts. On
// SwiftShader a step of them takes a second, and Chromium runs the whole suite there (test/browser):
// here it runs what depends on the driver.

import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";

const slow = project() === "swiftshader";
const numLayers = { reference: 2, swiftshader: 1, lavapipe: 4, chromium: 1 }[project()];

engineSuite(
  opener({
    platform: nodePlatform,
    folder: shallowFolder(demoFolder(), numLayers),
    device: project() === "reference" ? "reference" : "gpu",
  }),
  {
    names: slow ? ["batching", "ending"] : undefined,
    otherKv: slow ? "i8" : "f32",
    abortRuns: scale("aborts", 3, 300),
  },
);
