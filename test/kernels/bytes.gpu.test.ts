// Bytes that the WGSL itself counts, at each load and store, equal what `cost` says per binding,
// exactly. The counting build must also still compute the right thing.

import { afterAll, beforeAll, expect, test } from "vitest";
import { allKernels, variantKernels } from "../../kernels/index.ts";
import type { Kernel, Probe } from "../../kernels/kernel.ts";
import { wholeBuffer } from "../../runtime/device.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { runProbe } from "../../runtime/probe-runner.ts";
import { deviceInfo } from "../harness/device.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { edgeShapes } from "./edge-shapes.ts";
import { sampled } from "./sampled.ts";

let device: GpuDevice;
beforeAll(async () => {
  // The counters take one binding more, so the default limit of eight is too low for some kernels.
  device = await openGpuDevice(await gpu(), { profile: "full", countBytes: true });
});
afterAll(() => device.destroy());

/** That counting works there, and what SwiftShader cannot run; one matrix by lanes of eight. */
const ON_LAVAPIPE = /^(rms_norm|row_gather|embedding\[bf16\])$|_subgroup|rope_kv_f32$/;
const info = await deviceInfo();
const kernels = [...allKernels, ...variantKernels].filter(countedHere);

test.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", async (_, kernel) => {
  const shapes = countedShapes(kernel);
  expect(shapes.length).toBeGreaterThanOrEqual(3);
  for (const probe of shapes) {
    const label = JSON.stringify(probe.dims);
    expect(await countBytes(kernel, probe), label).toEqual(kernel.cost(probe.dims).bytes);
  }
});

/**
 * Bytes of a matrix kernel are a product of format, shape and epilogue: each value of each list is
 * taken once. Which bytes move is a property of the WGSL, so SwiftShader, which compiles in a third of
 * the time, counts nearly all of them in the gate.
 */
function countedHere(kernel: Kernel): boolean {
  if (scale("kernels", 0, 1) === 1) return sampled(kernel, info);
  if (project() === "lavapipe" && !ON_LAVAPIPE.test(kernel.name)) return false;
  if (kernel.name.startsWith("embedding")) return /\[(f16|bf16|q4_k|mxfp4)\]/.test(kernel.name);
  if (kernel.name.startsWith("route.")) return /softmax$|top2sum$/.test(kernel.name);
  // Of storages, that of plain values and that with scales.
  if (/^(rope_kv_write|kv_write|attention_(decode|prefill))\[f32\]/.test(kernel.name)) return false;
  if (kernel.name.startsWith("repack")) return /\[(f16|q4_k)\]/.test(kernel.name);
  if (kernel.name.startsWith("head_matmul")) return kernel.name.includes("q8_0");
  // A cap is arithmetic.
  if (/^attention.*capped/.test(kernel.name)) return false;
  if (kernel.name.startsWith("latent")) return kernel.name.includes("f16");
  if (!kernel.name.startsWith("matmul")) return true;
  return [
    "matmul.gemv[f32].bias_store",
    "matmul.gemv[bf16,norm].silu",
    `matmul.gemv_subgroup${info.subgroupSize}[bf16,norm].bias_silu`,
    `matmul.gemv_subgroup${info.subgroupSize}[q4_k].residual`,
    `matmul.gemv_broadcast${info.subgroupSize}[q8_0].store`,
    `matmul.small_m_broadcast${info.subgroupSize}[f16,norm].silu`,
    `matmul.tile_broadcast${info.subgroupSize}[q4_0].residual`,
    "matmul.gemv[q6_k].store",
    "matmul.small_m[q8_0].store",
    "matmul.small_m[f16].bias_residual",
    "matmul.small_m[bf16,norm].bias_gelu_tanh",
    "matmul.tile[f16].store",
    "matmul.tile[bf16].bias_silu",
    `matmul.gemv_subgroup${info.subgroupSize}[f16,norm].bias_rope_kv_f16`,
    `matmul.small_m_broadcast${info.subgroupSize}[f32,norm].rope_kv_f32`,
    "matmul.gemv_64x32x1[bf16,norm].bias_silu",
    "matmul.small_m4_64x16x4[q4_k].silu",
    "matmul.tile_int8[q4_k].store",
    `matmul.gemv_broadcast${info.subgroupSize}[bf16,norm,slots].silu`,
    `matmul.tile_broadcast${info.subgroupSize}[q4_k,blocks].store`,
  ].includes(kernel.name);
}

/** The kernel's probes and edge shapes that need one pipeline only; three where there are more. */
function countedShapes(kernel: Kernel): Probe[] {
  const all = [...kernel.probes, ...edgeShapes(kernel)];
  const same = all.filter(({ dims }) =>
    kernel.constants.every((name) => dims[name] === all[0]!.dims[name]),
  );
  return same.slice(0, Math.max(3, kernel.probes.length));
}

async function countBytes(kernel: Kernel, probe: Probe): Promise<Record<string, number>> {
  const counters = device.byteCounts!;
  device.write(counters, 0, new Uint32Array(counters.sizeBytes / 4));
  const { problem } = await runProbe(device, kernel, probe);
  expect(problem, JSON.stringify(probe.dims)).toBe("");
  const bytes = device.readback(wholeBuffer(counters));
  device.submit();
  const counts = new Uint32Array((await bytes).slice().buffer);
  return Object.fromEntries(Object.keys(kernel.bindings).map((name, i) => [name, counts[i]!]));
}
