// Where the engine suite's model lies in Node, and Node's platform.

import { fileURLToPath } from "node:url";
import type { Platform } from "../../runtime/create-engine.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { gpu } from "../harness/gpu.ts";

export const demoFolder = (name: "demo" | "demo-moe" = "demo") =>
  localFolder(fileURLToPath(new URL(`../../assets/${name}`, import.meta.url)));

export const nodePlatform: Platform = {
  gpu,
  openLocal: localFolder,
  runtime: "test",
  quantumMs: 50,
};
