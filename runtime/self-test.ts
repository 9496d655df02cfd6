/**
 * Known-answer test of the pipelines that a model selected, run at load: each kernel's smallest probe
 * on the device against its reference. Reports; whoever selects kernels decides what to do about it.
 */
import type { Kernel, Probe } from "../kernels/kernel.ts";
import type { Device, PipelineSpec } from "./device.ts";
import { runProbe } from "./probe-runner.ts";

export interface SelfTestResult {
  readonly name: string;
  readonly ok: boolean;
  /** Empty when ok. */
  readonly problem: string;
}

export interface SelfTestReport {
  readonly passed: number;
  readonly failed: number;
  readonly kernels: readonly SelfTestResult[];
}

/** The reference device would only be compared with itself: it reports no kernels. */
export async function selfTest(
  device: Device,
  pipelines: readonly PipelineSpec[],
): Promise<SelfTestReport> {
  const results: SelfTestResult[] = [];
  if (device.info.kind === "gpu") {
    const selected = new Map(pipelines.map((spec) => [spec.kernel, spec]));
    for (const { kernel, constants } of selected.values()) {
      const { ok, problem } = await runProbe(device, kernel, probeFor(kernel, constants));
      results.push({ name: kernel.name, ok, problem });
    }
  }
  const failed = results.filter(({ ok }) => !ok).length;
  return { passed: results.length - failed, failed, kernels: results };
}

/** A probe of the very pipeline where there is one, so that nothing more is compiled. */
function probeFor(kernel: Kernel, constants: Readonly<Record<string, number>>): Probe {
  const same = kernel.probes.find(({ dims }) =>
    kernel.constants.every((name) => dims[name] === constants[name]),
  );
  return same ?? kernel.probes[0];
}
