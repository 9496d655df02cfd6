// Every kernel on the driver against its plain reference: outputs poisoned, canaries round each
// slice, its own probes and shapes off by one round each tile (edge-shapes.ts).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allKernels, anyOrderKernels } from "../../kernels/index.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { DeviceInfo } from "../../runtime/device.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { deviceInfo, type Profile, profiles } from "../harness/device.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { edgeShapes } from "./edge-shapes.ts";
import { sampled } from "./sampled.ts";

const inSoak = scale("kernels", 0, 1) === 1;
// A kernel's module is the same on every device, and one without features runs none that the other does not:
// it has its turn in soak.
const kinds = await Promise.all(
  (inSoak ? profiles() : (["full"] as const)).map(
    async (profile) => [profile, await deviceInfo(profile)] as const,
  ),
);

describe.each(kinds)("device profile %s", (profile, info) => {
  let device: GpuDevice;
  beforeAll(async () => {
    device = await openGpuDevice(await gpu(), { profile });
  });
  afterAll(() => device.destroy());

  const kernels = [...allKernels, ...anyOrderKernels].filter((k) => runsHere(k, profile, info));
  test.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", async (_, kernel) => {
    for (const probe of [...kernel.probes, ...edgeShapes(kernel)]) {
      const { problem } = await runProbe(device, kernel, probe);
      expect(problem, JSON.stringify(probe.dims)).toBe("");
    }
  });
});

function runsHere(kernel: Kernel, profile: Profile, info: DeviceInfo): boolean {
  if (inSoak || project() === "lavapipe") return sampled(kernel, info);
  // SwiftShader offers no feature that a kernel uses, so both profiles run the same code there, and
  // attention.gpu.test.ts and latent.gpu.test.ts build its long shaders already.
  const isLong = /^(attention|latent)_(decode|prefill)/.test(kernel.name);
  return profile === "full" && !isLong && sampled(kernel, info);
}
