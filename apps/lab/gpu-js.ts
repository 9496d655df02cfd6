/**
 * gpu.js beside our kernels: the same operations as loops of plain JavaScript, which it compiles by
 * its own means. Asserts the backend that really runs, since it falls back without a word.
 */

import { gpuJsSteps } from "./gpu-js-kernels.ts";
import { Absent, type Contender, type Opponent } from "./opponent.ts";
import type { Task } from "./tasks.ts";

/** Mode -> the class of its kernels. */
const BACKENDS: Readonly<Record<string, string>> = {
  cpu: "CPUKernel",
  webasm: "WebAssemblyKernel",
  webgpu: "WebGPUKernel",
};

// biome-ignore lint/suspicious/noExplicitAny: gpu.js types neither typed arrays nor its WebGPU backend.
type Any = any;

/**
 * @param load Gives the library.
 * @param navigatorGpu Where `navigator.gpu` is missing: gpu.js looks nowhere else.
 */
export async function gpuJs(
  load: () => Promise<unknown>,
  navigatorGpu?: () => Promise<unknown>,
): Promise<Opponent> {
  const Library = await libraryOf(load);
  return {
    source: "gpu.js",
    backends: Object.keys(BACKENDS),
    open: async (backend, task) => {
      if (typeof Library === "string") throw new Absent(Library);
      if (backend === "webgpu") await provideNavigatorGpu(navigatorGpu);
      return open(new Library({ mode: backend }), backend, task);
    },
  };
}

/** The class, or why there is none. */
async function libraryOf(load: () => Promise<unknown>): Promise<Any> {
  try {
    const loaded = (await load()) as Any;
    // A module of CommonJS, as bundlers and Node each hand it over.
    const found = [loaded.default, loaded].map(
      (module) => Reflect.get(module ?? {}, "GPU") ?? module,
    );
    return found.find((value) => typeof value === "function") ?? "gpu.js exports no class";
  } catch {
    return "gpu.js is not installed; npm install gpu.js";
  }
}

async function provideNavigatorGpu(give?: () => Promise<unknown>): Promise<void> {
  const host = globalThis as { navigator?: { gpu?: unknown } };
  if (host.navigator?.gpu || !give) return;
  const value = Object.assign(Object.create(host.navigator ?? null), { gpu: await give() });
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
}

async function open(library: Any, backend: string, task: Task): Promise<Contender> {
  const isGpu = backend === "webgpu";
  const steps = gpuJsSteps(task).map(({ loop, constants, output, ...names }) => {
    const settings = { constants, output, pipeline: isGpu };
    return { kernel: library.createKernel(loop, settings), ...names };
  });
  const memory: Record<string, Any> = task.inputs();
  if (isGpu) {
    for (const [name, values] of Object.entries(task.inputs())) {
      memory[name] = await resident(library, values);
    }
  }
  const once = async () => {
    for (const { kernel, takes, gives } of steps) {
      const given = kernel(...takes.map((name) => memory[name]));
      // A handle holds its buffer until it is given back.
      if (isGpu) memory[gives]?.delete();
      memory[gives] = isGpu ? await given : given;
    }
  };
  await once();
  const actual = steps[0].kernel.kernel.constructor.name.replace(/^_/, "");
  if (actual !== BACKENDS[backend]) {
    library.destroy();
    throw new Absent(`gpu.js was asked for ${backend} and runs ${actual}`);
  }
  return {
    backend: actual,
    run: async (repeats) => {
      for (let i = 0; i < repeats; i++) await once();
      if (isGpu) await memory.out.context.device.queue.onSubmittedWorkDone();
    },
    read: async () => {
      const rows = isGpu ? await memory.out.toArray() : memory.out;
      return Float32Array.from(rows[0]);
    },
    destroy: () => {
      if (isGpu) for (const handle of Object.values(memory)) handle.delete();
      library.destroy();
    },
  };
}

/** Values that stay on the GPU, as weights do. */
async function resident(library: Any, values: Float32Array): Promise<Any> {
  const kernel = library.createKernel(
    function (this: { thread: { x: number } }, x: number[]) {
      return x[this.thread.x];
    },
    { output: [values.length], pipeline: true },
  );
  return kernel(values);
}
