/**
 * The Device without a GPU: runs each kernel's reference on typed arrays, in the order that a queue
 * would. Slow and correct. Weights are decoded once; nothing is compiled. Never chosen silently.
 */
import { bf16ToNumber, f16ToNumber } from "../../kernels/half.ts";
import {
  type Binding,
  type BufferSlice,
  type Dims,
  type Kernel,
  type KernelCall,
  shapeSizes,
  type View,
  type Views,
} from "../../kernels/kernel.ts";
import type {
  Device,
  DeviceBuffer,
  DeviceCounters,
  DeviceInfo,
  DeviceLoss,
  PipelineSpec,
  Submission,
} from "../device.ts";
import { WeftError } from "../errors.ts";

export class ReferenceDevice implements Device {
  readonly info: DeviceInfo = {
    kind: "reference",
    adapter: "reference (JavaScript, no GPU)",
    identity: "reference",
    tier: "reference",
    features: [],
    limits: {
      maxBindingBytes: 2 ** 31,
      maxBufferBytes: 2 ** 31,
      offsetAlignmentBytes: 4,
      maxStorageBuffers: 64,
    },
  };
  readonly counters: DeviceCounters = {
    dispatches: 0,
    submissions: 0,
    pipelines: 0,
    bindGroups: 0,
    writtenBytes: 0,
    readBytes: 0,
  };
  readonly lost: Promise<DeviceLoss>;
  readonly #memory = new Map<number, ArrayBuffer>();
  /** Decoded slices, dropped when their buffer is written. */
  readonly #decoded = new Map<number, Map<string, Float32Array>>();
  readonly #views = new WeakMap<object, Map<KernelCall["kernel"], Views>>();
  readonly #prepared = new Map<Kernel, Set<string>>();
  /** The current submission. Nothing runs before `submit`: a write may still come before it. */
  #recorded: (() => void)[] = [];
  /** Of readbacks that were asked for and have not come. */
  readonly #refusals = new Set<(error: WeftError) => void>();
  #nextId = 1;
  #destroy: (loss: DeviceLoss) => void = () => {};
  #destroyed = false;

  constructor() {
    this.lost = new Promise((resolve) => {
      this.#destroy = resolve;
    });
  }

  async createBuffer(label: string, sizeBytes: number): Promise<DeviceBuffer> {
    this.#check();
    if (sizeBytes > this.info.limits.maxBufferBytes) {
      throw new WeftError(
        "limit_exceeded",
        `buffer ${label} needs ${sizeBytes} bytes, the reference device allows ` +
          `${this.info.limits.maxBufferBytes}; choose a smaller model or memoryBudgetBytes`,
      );
    }
    const size = Math.max(16, Math.ceil(sizeBytes / 4) * 4);
    const id = this.#nextId++;
    try {
      this.#memory.set(id, new ArrayBuffer(size));
    } catch (cause) {
      throw new WeftError(
        "out_of_memory",
        `the host refused buffer ${label} of ${size} bytes; lower memoryBudgetBytes`,
        { cause },
      );
    }
    return { id, label, sizeBytes: size };
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    this.#memory.delete(buffer.id);
    this.#decoded.delete(buffer.id);
  }

  write(buffer: DeviceBuffer, offsetBytes: number, data: ArrayBufferView): void {
    this.#check();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(this.#bytes(buffer.id)).set(bytes, offsetBytes);
    this.#decoded.delete(buffer.id);
    this.counters.writtenBytes += bytes.byteLength;
  }

  async prepare(specs: readonly PipelineSpec[], onReady?: () => void): Promise<void> {
    this.#check();
    for (const { kernel, constants } of specs) {
      const known = this.#prepared.get(kernel) ?? new Set();
      this.#prepared.set(kernel, known);
      const key = constantsKey(kernel, constants);
      if (known.has(key)) continue;
      known.add(key);
      this.counters.pipelines += 1;
      onReady?.();
    }
  }

  record(calls: Iterable<KernelCall>): void {
    this.#check();
    for (const { kernel, buffers, dims, grid } of calls) {
      if (!this.#prepared.get(kernel)?.has(constantsKey(kernel, dims))) {
        throw new Error(`${kernel.name} was recorded before it was prepared`);
      }
      for (const name of Object.keys(kernel.bindings)) {
        const slice = buffers[name];
        if (!slice) throw new Error(`${kernel.name} was called without its binding ${name}`);
        this.#bytes(slice.buffer.id);
      }
      if (kernel.workgroups(dims).includes(0)) continue;
      const call = { kernel, buffers, dims: { ...dims } };
      this.#recorded.push(() => {
        if (grid && this.#isEmpty(grid)) return;
        kernel.reference(this.#viewsOf(call), call.dims);
        for (const name of writtenBy(kernel)) this.#decoded.delete(buffers[name]!.buffer.id);
      });
      this.counters.dispatches += 1;
    }
  }

  async readback(...slices: BufferSlice[]): Promise<Uint8Array> {
    this.#check();
    const totalBytes = slices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { buffer } of slices) this.#bytes(buffer.id);
    this.counters.readBytes += totalBytes;
    return new Promise((resolve, reject) => {
      this.#refusals.add(reject);
      this.#recorded.push(() => {
        const bytes = new Uint8Array(totalBytes);
        let end = 0;
        for (const { buffer, offsetBytes, sizeBytes } of slices) {
          bytes.set(new Uint8Array(this.#bytes(buffer.id), offsetBytes, sizeBytes), end);
          end += sizeBytes;
        }
        // As on a GPU, the bytes come in a later task, so callers may rely on that order.
        setTimeout(() => {
          this.#refusals.delete(reject);
          resolve(bytes);
        }, 0);
      });
    });
  }

  submit(): Submission {
    this.#check();
    const recorded = this.#recorded;
    if (recorded.length === 0) return { gpuMs: undefined };
    this.#recorded = [];
    this.counters.submissions += 1;
    const startedMs = performance.now();
    for (const run of recorded) run();
    // A coarse clock may not have moved.
    return { gpuMs: performance.now() - startedMs || undefined };
  }

  async idle(): Promise<void> {
    this.#check();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#memory.clear();
    this.#decoded.clear();
    this.#recorded = [];
    for (const refuse of this.#refusals) refuse(lostError());
    this.#refusals.clear();
    this.#destroy({ reason: "destroyed", message: "destroy() was called" });
  }

  #isEmpty({ buffer, offsetBytes }: BufferSlice): boolean {
    return new Uint32Array(this.#bytes(buffer.id), offsetBytes, 3).includes(0);
  }

  #viewsOf({ kernel, buffers, dims }: KernelCall): Views {
    const decoded = Object.values(kernel.bindings).some(decodes);
    const cached = decoded ? undefined : this.#views.get(buffers)?.get(kernel);
    if (cached) return cached;
    const views: Views = {};
    for (const [name, binding] of Object.entries(kernel.bindings)) {
      const slice = buffers[name]!;
      views[name] = decodes(binding)
        ? this.#decode(binding, slice, dims)
        : this.#live(binding, slice);
    }
    if (decoded) return views;
    const byKernel = this.#views.get(buffers) ?? new Map();
    this.#views.set(buffers, byKernel.set(kernel, views));
    return views;
  }

  #live({ storage }: Binding, { buffer, offsetBytes, sizeBytes }: BufferSlice): View {
    const memory = this.#bytes(buffer.id);
    if (storage === "f32") return new Float32Array(memory, offsetBytes, sizeBytes / 4);
    if (storage === "u32") return new Uint32Array(memory, offsetBytes, sizeBytes / 4);
    return new Uint16Array(memory, offsetBytes, sizeBytes / 2);
  }

  #decode(binding: Binding, slice: BufferSlice, dims: Dims): Float32Array {
    const { id } = slice.buffer;
    const slices = this.#decoded.get(id) ?? new Map<string, Float32Array>();
    this.#decoded.set(id, slices);
    const { storage, packing } = binding;
    const key = `${packing?.format ?? storage} ${slice.offsetBytes} ${slice.sizeBytes}`;
    const known = slices.get(key);
    if (known) return known;
    const live = this.#live(binding, slice);
    const values = packing
      ? packing.unpack(live as Uint32Array, ...shapeSizes(binding.shape, dims))
      : Float32Array.from(live, storage === "f16" ? f16ToNumber : bf16ToNumber);
    slices.set(key, values);
    return values;
  }

  #bytes(id: number): ArrayBuffer {
    const memory = this.#memory.get(id);
    if (!memory) throw new Error(`buffer ${id} was destroyed or belongs to another device`);
    return memory;
  }

  #check(): void {
    if (this.#destroyed) throw lostError();
  }
}

function lostError(): WeftError {
  return new WeftError(
    "device_lost",
    "the reference device was destroyed (engine closed); create the engine again",
  );
}

function constantsKey(kernel: Kernel, constants: Readonly<Record<string, number>>): string {
  return kernel.constants.map((name) => constants[name]).join();
}

function writtenBy(kernel: Kernel): readonly string[] {
  const known = written.get(kernel);
  if (known) return known;
  const names = Object.keys(kernel.bindings).filter(
    (name) => kernel.bindings[name].access !== "read",
  );
  written.set(kernel, names);
  return names;
}
const written = new WeakMap<Kernel, readonly string[]>();

const decodes = ({ access, storage, raw, packing }: Binding): boolean =>
  access === "read" && !raw && (packing !== undefined || storage === "f16" || storage === "bf16");
