// The reference device dressed as a GPU whose kernels take the times that a test says, and which may
// refuse kernels or compute other bits. Of the same call repeated in a submission only one is computed.

import type { Kernel, KernelCall } from "../../../kernels/kernel.ts";
import type { Device, DeviceInfo, PipelineSpec } from "../../../runtime/device.ts";
import { WeftError } from "../../../runtime/errors.ts";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";

export interface TimedDeviceOptions {
  /** Microseconds of one call, by kernel name. */
  us(kernelName: string): number;
  /** Kernels that do not compile. */
  readonly refuses?: RegExp;
  /** Kernels whose first output is off by a little. */
  readonly spoils?: RegExp;
  readonly identity?: string;
  /** Sees each kernel that is compiled. */
  onPrepare?(kernelName: string): void;
  /** Sees the kernels of each submission. */
  onSubmit?(kernels: readonly string[]): void;
}

export function timedDevice(options: TimedDeviceOptions): Device {
  const device = new ReferenceDevice();
  const info: DeviceInfo = {
    ...device.info,
    ...{ kind: "gpu", features: [], identity: options.identity ?? "timed" },
  };
  const spoiled = new Map<Kernel, Kernel>();
  const asRun = (kernel: Kernel): Kernel => {
    if (!options.spoils?.test(kernel.name)) return kernel;
    const known = spoiled.get(kernel) ?? {
      ...kernel,
      reference: (io, dims) => {
        kernel.reference(io, dims);
        io.out[0] += 1e-3;
      },
    };
    spoiled.set(kernel, known);
    return known;
  };
  let names: string[] = [];
  const changed: Partial<Device> = {
    async prepare(specs: readonly PipelineSpec[]) {
      for (const { kernel } of specs) options.onPrepare?.(kernel.name);
      const refused = specs.find(({ kernel }) => options.refuses?.test(kernel.name));
      if (refused) throw new WeftError("kernel_rejected", `${refused.kernel.name}: no`);
      await device.prepare(specs.map((spec) => ({ ...spec, kernel: asRun(spec.kernel) })));
    },
    record(calls: Iterable<KernelCall>) {
      for (const call of calls) {
        if (!names.includes(call.kernel.name)) {
          device.record([{ ...call, kernel: asRun(call.kernel) }]);
        }
        names.push(call.kernel.name);
      }
    },
    submit() {
      device.submit();
      options.onSubmit?.(names);
      const us = names.reduce((sum, name) => sum + options.us(name), 0);
      names = [];
      return { gpuMs: us / 1000 };
    },
  };
  return new Proxy(device, {
    get(target, name) {
      if (name === "info") return info;
      const own = changed[name as keyof Device];
      if (own) return own;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
