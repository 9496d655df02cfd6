// The lab on a driver: its probes are right, and a run of two kernels gives every field.

import { afterAll, beforeAll, expect, test } from "vitest";
import { probeKernels } from "../../apps/lab/probe-kernels.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { weftJson } from "../cli/weft.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";

let device: GpuDevice;
beforeAll(async () => {
  device = await openGpuDevice(await gpu());
});
afterAll(() => device.destroy());

test.each(probeKernels.map((kernel) => [kernel.name, kernel] as const))("%s", async (_, kernel) => {
  for (const probe of kernel.probes) {
    const { problem } = await runProbe(device, kernel, probe);
    expect(problem, JSON.stringify(probe.dims)).toBe("");
  }
});

const MINE = "test/fixtures/lab/silu-vec4.mjs";

// The command line takes the driver that set-up prefers, so a second project would run the same.
test.skipIf(project() === "swiftshader")(
  "weft bench kernels --kernel (not on SwiftShader: the command takes set-up's driver)",
  { timeout: 60_000 },
  async () => {
    const result = await weftJson([
      "bench",
      "kernels",
      "--filter",
      "gated_activation",
      "--quick",
      "--kernel",
      MINE,
    ]);
    expect(result).toMatchObject({ clock: "timestamp-query" });
    expect(result.adapter).toMatch(/llvmpipe/);
    expect(result.method).toMatch(/^GPU time by timestamp-query/);
    for (const [name, value] of Object.entries(result.probes)) {
      // A submission may cost less than the clock's noise.
      if (name !== "submitUs") expect(value, name).toBeGreaterThan(0);
    }
    const from = (source: string) =>
      result.kernels.filter((row: { source: string }) => row.source === source);
    for (const source of ["weft", "yours", "gpu.js", "onnxruntime-web"]) {
      const rows = from(source);
      expect(rows.length, source).toBeGreaterThanOrEqual(3);
      for (const row of rows) {
        expect(row).toMatchObject({ name: "gated_activation", model: "tiny", role: "activation" });
        if (row.absent) continue;
        expect(row.medianUs, row.variant).toBeGreaterThan(0);
        expect(row.gbPerS).toBeCloseTo(row.bytes / (1e3 * row.medianUs), 9);
        expect(row.gflopPerS).toBeCloseTo(row.flops / (1e3 * row.medianUs), 9);
        expect(row.maxError).toBeLessThan(5e-6);
        expect(row.problem).toBeUndefined();
      }
    }
    // gpu.js falls back without a word; a row says what ran.
    const backends = from("gpu.js").map(({ variant }: { variant: string }) => variant);
    expect(backends).toContain("webgpu (WebGPUKernel)");
    expect(backends).toContain("webasm (WebAssemblyKernel)");
    expect(backends).toContain("cpu (CPUKernel)");
    expect(from("onnxruntime-web")[0].absent).toMatch(/runs in browsers alone/);
  },
);
