// Counts the compute pipelines that a test file compiles, whoever asks for them. The count goes to
// the reporter with the file's meta.

import { afterAll } from "vitest";
import { gpu } from "./gpu.ts";
import { project } from "./project.ts";

declare module "vitest" {
  interface TaskMeta {
    pipelines?: number;
  }
}

let pipelines = 0;

/** One more compute pipeline was compiled for this file. */
export function countPipeline(): void {
  pipelines += 1;
}

/** Called once per file from a set-up file, before the file's own imports. */
export async function countPipelines(): Promise<void> {
  if (project() === "reference") return;
  await gpu();
  const device = GPUDevice.prototype;
  const { createComputePipeline, createComputePipelineAsync } = device;
  device.createComputePipeline = function (descriptor) {
    countPipeline();
    return createComputePipeline.call(this, descriptor);
  };
  device.createComputePipelineAsync = function (descriptor) {
    countPipeline();
    return createComputePipelineAsync.call(this, descriptor);
  };
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the parameter's source and wants this
  afterAll(({}, file) => {
    file.meta.pipelines = pipelines;
  });
}
