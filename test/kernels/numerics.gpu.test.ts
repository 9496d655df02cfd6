// Every kernel on the driver against its plain reference: outputs poisoned, canaries round each
// slice, shapes off by one round each tile (the probes and the shapes below).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allKernels } from "../../kernels/index.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";

describe.each(["full", "baseline"] as const)("device profile %s", (profile) => {
  let device: GpuDevice;
  beforeAll(async () => {
    device = await openGpuDevice(await gpu(), { profile });
  });
  afterAll(() => device.destroy());

  const kernels = allKernels.filter((kernel) => runsHere(kernel, profile));
  test.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", async (_, kernel) => {
    for (const probe of kernel.probes) {
      const { problem } = await runProbe(device, kernel, probe);
      expect(problem, JSON.stringify(probe.dims)).toBe("");
    }
  });
});

/**
 * Software drivers take seconds per pipeline, so of the product format × shape × epilogue the gate
 * runs a sample that holds each format with each shape and each shape with each epilogue;
 * SwiftShader runs each value of each list once.
 */
function runsHere({ name, features }: Kernel, profile: "full" | "baseline"): boolean {
  if (features.length > 0 && (profile === "baseline" || project() !== "lavapipe")) return false;
  if (!name.startsWith("matmul")) return true;
  if (project() === "lavapipe") return name.endsWith("].store") || name.includes("[bf16]");
  return [
    "matmul.gemv[f32].store",
    "matmul.small_m[f16].bias_residual",
    "matmul.tile[bf16].silu",
    "matmul.gemv[bf16].bias_gelu_tanh",
    "matmul.tile[f16].residual",
  ].includes(name);
}
