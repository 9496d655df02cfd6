/** A kernel's numbers against its reference: at the shape itself where the processor can, else smaller. */

import { type Device, runProbe } from "../../index.ts";
import type { Dims, Kernel, Probe } from "../../kernels/index.ts";
import { bindingBytes, roundsNormed, steadied } from "../../kernels/index.ts";
import { probeAt } from "./contents.ts";
import type { LabCase } from "./lab-case.ts";
import { dimsOf, shapeText } from "./result.ts";
import { trafficOf } from "./roofline.ts";

/** About a second of the reference. */
const MAX_FLOPS = 2e8;
const MAX_BYTES = 3e7;

export interface CheckedError {
  readonly maxError: number;
  readonly errorShape: string;
  readonly problem?: string;
}

export class ErrorCheck {
  readonly #device: Device;
  /** Once per kernel: its other shapes run the same code. */
  readonly #known = new Map<Kernel, Promise<CheckedError>>();

  constructor(device: Device) {
    this.#device = device;
  }

  of(kernel: Kernel, of: LabCase): Promise<CheckedError> {
    const known = this.#known.get(kernel) ?? this.#check(kernel, of);
    this.#known.set(kernel, known);
    return known;
  }

  async #check(kernel: Kernel, { dims, inputs }: LabCase): Promise<CheckedError> {
    const probe = isSmall(kernel, dims) ? probeAt(kernel, dims, inputs) : probeOf(kernel, dims);
    const sure = roundsNormed(kernel) ? steadied(probe) : probe;
    const { maxError, ok, problem } = await runProbe(this.#device, kernel, sure);
    return {
      maxError,
      errorShape: shapeText(probe.dims, dimsOf(kernel)),
      ...(!ok && { problem }),
    };
  }
}

function isSmall(kernel: Kernel, dims: Dims): boolean {
  const { flops } = trafficOf(kernel, dims);
  const sizes = Object.values(kernel.bindings).map((binding) => bindingBytes(binding, dims));
  return flops <= MAX_FLOPS && sizes.reduce((a, b) => a + b, 0) <= MAX_BYTES;
}

/** The kernel's own, of the same pipeline if there is one. */
function probeOf({ probes, constants }: Kernel, dims: Dims): Probe {
  const same = probes.find((probe) => constants.every((name) => probe.dims[name] === dims[name]));
  return same ?? probes[probes.length - 1];
}
