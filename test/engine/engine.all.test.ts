// The engine suite in Node, on every driver. SwiftShader runs part of it here and all of it in
// Chromium (test/browser).

import { project } from "../harness/project.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";

const openEngine = opener({
  platform: nodePlatform,
  folder: demoFolder(),
  device: project() === "reference" ? "reference" : "gpu",
});

engineSuite(
  openEngine,
  project() === "swiftshader" ? ["answers", "sampling", "stopping", "ending"] : undefined,
);
