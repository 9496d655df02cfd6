/**
 * Known-answer test of the pipelines that a model selected, run at load: each kernel's smallest probe
 * on the device against its reference. Reports; whoever selects kernels decides what to do about it.
 */
import type { Kernel, Probe } from "../kernels/kernel.ts";
import type { Device, PipelineSpec } from "./device.ts";
import { WeftError } from "./errors.ts";
import { runProbe } from "./probe-runner.ts";
import type { KernelChoice } from "./select-kernels.ts";

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
  /** Whether neighbours can never change a request's tokens on this device (docs/numerics.md). */
  readonly invariant: boolean;
  /** Variants that were given up at load, each with its reason. */
  readonly demoted: readonly string[];
}

/** The reference device would only be compared with itself: it reports no kernels. */
export async function selfTest(
  device: Device,
  pipelines: readonly PipelineSpec[],
  { demoted, invariant }: Omit<KernelChoice, "matmul"> = { demoted: [], invariant: true },
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
  const passed = results.length - failed;
  // Where one shape serves all row counts, too, a row is computed the same way whatever is beside it.
  return { passed, failed, kernels: results, invariant: invariant && failed === 0, demoted };
}

/** Wrong arithmetic would read as gibberish. @throws {WeftError} `kernel_rejected`. */
export function requireSound({ kernels }: SelfTestReport): void {
  const wrong = kernels.filter(({ ok }) => !ok);
  if (wrong.length === 0) return;
  throw new WeftError(
    "kernel_rejected",
    `the driver computes wrong results: ${wrong.map((k) => `${k.name} (${k.problem})`).join("; ")}; ` +
      "update the GPU driver, or choose device: 'reference', and report the output of `weft info`",
  );
}

/** A probe of the very pipeline where there is one, so that nothing more is compiled. */
function probeFor(kernel: Kernel, constants: Readonly<Record<string, number>>): Probe {
  const same = kernel.probes.find(({ dims }) =>
    kernel.constants.every((name) => dims[name] === constants[name]),
  );
  return same ?? kernel.probes[0];
}
