/** Kernel and constants to compute pipeline, compiled once. Refuses nothing quietly: a shader that the driver rejects is a typed error. */
import type { Kernel } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING, moduleSource, type SourceOptions } from "../../kernels/source.ts";
import type { PipelineSpec } from "../device.ts";
import { WeftError } from "../errors.ts";

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly hasParams: boolean;
}

/** Drivers compile on their own threads; more at once only costs memory (ORT#29557). */
const MAX_COMPILING = 4;

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #options: SourceOptions;
  readonly #ready = new Map<Kernel, Map<string, Pipeline>>();

  constructor(device: GPUDevice, options: SourceOptions = {}) {
    this.#device = device;
    this.#options = options;
  }

  /** @returns undefined when the pipeline was not prepared. */
  get(kernel: Kernel, constants: Readonly<Record<string, number>>): Pipeline | undefined {
    return this.#ready.get(kernel)?.get(constantsKey(kernel, constants));
  }

  /** @returns How many were compiled now. */
  async prepare(specs: readonly PipelineSpec[], onReady?: () => void): Promise<number> {
    const missing = new Map<string, PipelineSpec>();
    for (const spec of specs) {
      if (this.get(spec.kernel, spec.constants)) continue;
      missing.set(`${spec.kernel.name} ${constantsKey(spec.kernel, spec.constants)}`, spec);
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
      const byConstants = this.#ready.get(kernel) ?? new Map<string, Pipeline>();
      byConstants.set(constantsKey(kernel, constants), {
        pipeline,
        layout,
        hasParams: Object.keys(kernel.params).length > 0,
      });
      this.#ready.set(kernel, byConstants);
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

function constantsKey(kernel: Kernel, constants: Readonly<Record<string, number>>): string {
  return kernel.constants.map((name) => constants[name]).join();
}

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
