/** Which kernels are measured at which sizes, and their pipelines. */

import { type Device, WeftError } from "../../index.ts";
import {
  INTEGER_DOTS,
  type Kernel,
  listedFormats,
  type WeightFormatName,
} from "../../kernels/index.ts";
import { casesOf, SHARED_ROLE } from "./cases.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";
import { type Job, withUserKernels } from "./user-kernels.ts";

export interface JobSelection {
  readonly shapes: readonly ModelShape[];
  /** Only kernels and roles whose name holds this text. */
  readonly filter?: string;
  /** Few samples and small buffers: for software drivers. */
  readonly quick: boolean;
  /** The user's own, beside ours of the same operation. */
  readonly userKernels?: readonly Kernel[];
}

/** Those that the device can run. */
export function jobsOf(device: Device, selection: JobSelection): Job[] {
  const { shapes, filter, quick, userKernels = [] } = selection;
  const { subgroupSize, limits, features, languageFeatures } = device.info;
  const cases = shapes.flatMap((shape, index) =>
    casesOf(shape, {
      formatsOf: (role) => formatsFor(quick, index, role),
      // Shipped formats, without the product of all shapes and formats.
      anyOrderFormatsOf: (role) => (quick && role !== SHARED_ROLE ? [] : ["f16", "q4_0"]),
      int8FormatsOf: (role) =>
        !languageFeatures?.includes(INTEGER_DOTS) || (quick && role !== SHARED_ROLE)
          ? []
          : ["q8_0", "q4_0"],
      subgroupSize,
    }),
  );
  const jobs = withUserKernels(cases, userKernels).filter(
    ({ of, kernel }) => !filter || `${kernel.name} ${of.role}`.includes(filter),
  );
  return jobs.filter(
    ({ kernel }) =>
      kernel.features.every((feature) => features.includes(feature)) &&
      Object.keys(kernel.bindings).length <= limits.maxStorageBuffers,
  );
}

/** Formats that models are usually shipped in; the first model gets every one. */
const USUAL = ["bf16", "f16", "q4_0"];
/** Of the tiny shape, where other libraries stand beside ours: they have f32 alone. */
const FEW = ["f32", "f16", "q4_0"];

/** Of the weights in a role. */
export function formatsFor(
  quick: boolean,
  modelIndex: number,
  role: string,
): readonly WeightFormatName[] {
  if (modelIndex > 0) return listedFormats.filter((name) => USUAL.includes(name));
  if (!quick) return listedFormats;
  // Each pipeline takes a software driver a second.
  return listedFormats.filter((name) =>
    role === SHARED_ROLE ? FEW.includes(name) : name === "f16",
  );
}

interface CompileOptions {
  readonly signal?: AbortSignal;
  onProgress?(stage: string, done: number, total: number): void;
}

/** A few pipelines at a time. @returns What the driver said of those it refused, by `pipelineKey`. */
export async function compile(
  device: Device,
  jobs: readonly Job[],
  { signal, onProgress }: CompileOptions,
): Promise<ReadonlyMap<string, string>> {
  const specs = new Map(jobs.map(({ kernel, of }) => [pipelineKey(kernel, of), { kernel, of }]));
  const queue = [...specs];
  const rejected = new Map<string, string>();
  let done = 0;
  const worker = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      const [key, { kernel, of }] = next;
      signal?.throwIfAborted();
      try {
        await device.prepare([{ kernel, constants: of.dims }]);
      } catch (error) {
        if (!(error instanceof WeftError) || error.code !== "kernel_rejected") throw error;
        rejected.set(key, error.message);
      }
      onProgress?.("pipelines", ++done, specs.size);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return rejected;
}

export const pipelineKey = (kernel: Kernel, { dims }: LabCase): string =>
  `${kernel.name} ${kernel.constants.map((name) => dims[name])}`;
