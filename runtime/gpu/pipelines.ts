/** Kernel and constants to compute pipeline, compiled once. Refuses nothing quietly: a shader that the driver rejects is a typed error. */
import type { Kernel } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING, moduleSource, type SourceOptions } from "../../kernels/source.ts";
import type { PipelineSpec } from "../device.ts";
import { WeftError } from "../errors.ts";

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly kernel: Kernel;
  /** Values of `kernel.constants`, in their order. */
  readonly constants: readonly number[];
  /** Fields of the params struct, in order: a word each. */
  readonly params: readonly { readonly name: string; readonly isFloat: boolean }[];
}

/** Drivers compile on their own threads; more at once only costs memory (ORT#29557). */
const MAX_COMPILING = 4;

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #options: SourceOptions;
  /** By kernel: one for each choice of constants. */
  readonly #ready = new Map<Kernel, Pipeline[]>();

  constructor(device: GPUDevice, options: SourceOptions = {}) {
    this.#device = device;
    this.#options = options;
  }

  /** @returns undefined when the pipeline was not prepared. */
  get(kernel: Kernel, constants: Readonly<Record<string, number>>): Pipeline | undefined {
    return this.#ready.get(kernel)?.find((pipeline) => serves(pipeline, kernel, constants));
  }

  /** @returns How many were compiled now. */
  async prepare(specs: readonly PipelineSpec[], onReady?: () => void): Promise<number> {
    const missing = new Map<string, PipelineSpec>();
    for (const spec of specs) {
      if (this.get(spec.kernel, spec.constants)) continue;
      missing.set(`${spec.kernel.name} ${constantValues(spec.kernel, spec.constants)}`, spec);
    }
    const queue = [...missing.values()];
    const worker = async () => {
      for (let spec = queue.pop(); spec; spec = queue.pop()) {
        await this.#compile(spec);
        onReady?.();
      }
    };
    const count = queue.length;
    await Promise.all(Array.from({ length: Math.min(MAX_COMPILING, count) }, worker));
    return count;
  }

  async #compile({ kernel, constants }: PipelineSpec): Promise<void> {
    const device = this.#device;
    const code = moduleSource(kernel, this.#options);
    // What is wrong with a module is reported below; uncaptured, it would fail the device.
    device.pushErrorScope("validation");
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: layoutEntries(kernel, this.#options),
    });
    const module = device.createShaderModule({ label: kernel.name, code });
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const invalid = device.popErrorScope().catch(() => null);
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: kernel.name,
        layout: pipelineLayout,
        compute: {
          module,
          entryPoint: "main",
          constants: Object.fromEntries(kernel.constants.map((name) => [name, constants[name]])),
        },
      });
      const ready = this.#ready.get(kernel) ?? [];
      this.#ready.set(kernel, ready);
      ready.push({
        pipeline,
        layout,
        kernel,
        constants: constantValues(kernel, constants),
        params: Object.entries(kernel.params).map(([name, type]) => ({
          name,
          isFloat: type === "f32",
        })),
      });
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const details = messages.map((m) => `${m.type} at line ${m.lineNum}: ${m.message}`);
      const words = details.join("; ") || (await invalid)?.message || String(cause);
      throw new WeftError(
        "kernel_rejected",
        `kernel ${kernel.name} was rejected by the driver: ${words}; ` +
          "report it with the output of `weft info`",
        { cause },
      );
    }
  }
}

/** Whether a call of the kernel with these dims, or constants, runs on the pipeline. */
export function serves(
  pipeline: Pipeline,
  kernel: Kernel,
  dims: Readonly<Record<string, number>>,
): boolean {
  if (pipeline.kernel !== kernel) return false;
  const { constants } = pipeline;
  for (let i = 0; i < constants.length; i++) {
    if (dims[kernel.constants[i]] !== constants[i]) return false;
  }
  return true;
}

const constantValues = (kernel: Kernel, dims: Readonly<Record<string, number>>): number[] =>
  kernel.constants.map((name) => dims[name]);

function layoutEntries(kernel: Kernel, options: SourceOptions): GPUBindGroupLayoutEntry[] {
  const storage = Object.values(kernel.bindings).map(
    ({ access }): GPUBufferBindingLayout => ({
      type: access === "read" ? "read-only-storage" : "storage",
    }),
  );
  if (options.countBytes) storage.push({ type: "storage" });
  const entries = storage.map((buffer, i) => ({
    binding: FIRST_STORAGE_BINDING + i,
    visibility: GPUShaderStage.COMPUTE,
    buffer,
  }));
  if (Object.keys(kernel.params).length === 0) return entries;
  const uniform: GPUBufferBindingLayout = { type: "uniform", hasDynamicOffset: true };
  return [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: uniform }, ...entries];
}
