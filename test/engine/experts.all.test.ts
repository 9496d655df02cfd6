// The engine suite with a mixture of experts: alone and among sixteen, ids and bits are the same. And
// with experts that come and go, where the host acts in the middle of a step: nothing is lost or late.

import { describe } from "vitest";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { type OpenEngine, opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";

const isSoak = scale("moe-batches", 0, 1) === 1;
const numLayers = isSoak
  ? 7
  : { reference: 2, swiftshader: 2, lavapipe: 3, chromium: 2 }[project()];
const open = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder("demo-moe"), numLayers),
  device: project() === "reference" ? "reference" : "gpu",
});

describe("all experts resident", () => {
  engineSuite(open, { names: ["batching", "ending"], otherKv: "i8" });
});

/** A few more than one layer has. */
const experts = { memoryBytes: 11 * 49_152 };
const openCapped: OpenEngine = (options, device) => open({ ...options, experts }, device);

// What it asks is the host's business: drivers have nothing of their own to add in the gate.
if (project() === "reference" || isSoak) {
  describe("experts under a cap", () => {
    engineSuite(openCapped, { names: ["several", "stopping", "aborting", "ending"] });
  });
}
