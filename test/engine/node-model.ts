// Where the engine suite's model lies in Node, and Node's platform.

import { fileURLToPath } from "node:url";
import type { Platform } from "../../runtime/create-engine.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { gpu } from "../harness/gpu.ts";

const demo = fileURLToPath(new URL("../../assets/demo", import.meta.url));

export const demoFolder = () => localFolder(demo);

export const nodePlatform: Platform = {
  gpu,
  openLocal: localFolder,
  runtime: "test",
  quantumMs: 50,
};
