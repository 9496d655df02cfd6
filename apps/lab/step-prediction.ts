/**
 * The least time that a step can take on this adapter: what its kernels must move and compute at the
 * measured rates, and what dispatches and submissions cost the GPU and the host. Arithmetic alone.
 */
import type { MeteredStep } from "../../node.ts";
import { type Probes, peaksOf } from "./probes.ts";
import { rooflineUs, trafficOf } from "./roofline.ts";

export interface StepPrediction {
  /** The longer of the two below: GPU and host work at the same time. */
  readonly ms: number;
  /** Σ max(bytes / bandwidth, flops / rate) + dispatches · gap. */
  readonly gpuMs: number;
  /** dispatches · encode + submissions · submit. */
  readonly hostMs: number;
  /** That must cross the memory bus, every operand of every call once. */
  readonly bytes: number;
  /** Of `bytes` alone, at the measured bandwidth. */
  readonly busMs: number;
}

export function predictStep(
  { calls, dispatches, submissions }: Pick<MeteredStep, "calls" | "dispatches" | "submissions">,
  probes: Probes,
): StepPrediction {
  const peaks = peaksOf(probes);
  const traffic = calls.map(({ kernel, dims }) => trafficOf(kernel, dims));
  const kernelsUs = traffic.reduce((sum, one) => sum + rooflineUs(one, peaks), 0);
  const bytes = traffic.reduce((sum, one) => sum + one.bytes, 0);
  const gpuMs = (kernelsUs + dispatches * probes.dispatchUs) / 1000;
  const hostMs = (dispatches * probes.encodeUs + submissions * probes.submitUs) / 1000;
  return { ms: Math.max(gpuMs, hostMs), gpuMs, hostMs, bytes, busMs: bytes / (1e6 * peaks.gbPerS) };
}
