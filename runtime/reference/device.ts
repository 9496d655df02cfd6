/**
 * The Device without a GPU: runs each kernel's reference at once, on typed arrays. Slow and correct.
 * Weights are decoded once; nothing is compiled. Never chosen silently.
 */
import { bf16ToNumber, f16ToNumber } from "../../kernels/half.ts";
import type { Binding, BufferSlice, KernelCall, View, Views } from "../../kernels/kernel.ts";
import type { Device, DeviceBuffer, DeviceCounters, DeviceInfo, DeviceLoss } from "../device.ts";
import { WeftError } from "../errors.ts";

export class ReferenceDevice implements Device {
  readonly info: DeviceInfo = {
    kind: "reference",
    adapter: "reference (JavaScript, no GPU)",
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
  /** Decoded f16 and bf16 slices, dropped when their buffer is written. */
  readonly #decoded = new Map<number, Map<string, Float32Array>>();
  readonly #views = new WeakMap<object, Map<KernelCall["kernel"], Views>>();
  #recorded = false;
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

  async prepare(specs: readonly unknown[], onReady?: () => void): Promise<void> {
    this.#check();
    for (const _ of specs) onReady?.();
  }

  record(calls: Iterable<KernelCall>): void {
    this.#check();
    for (const call of calls) {
      call.kernel.reference(this.#viewsOf(call), call.dims);
      this.counters.dispatches += 1;
      this.#recorded = true;
    }
  }

  async readback({ buffer, offsetBytes, sizeBytes }: BufferSlice): Promise<Uint8Array> {
    this.#check();
    this.#recorded = true;
    this.counters.readBytes += sizeBytes;
    const bytes = new Uint8Array(this.#bytes(buffer.id), offsetBytes, sizeBytes).slice();
    // As on a GPU, the bytes come in a later task, so callers may rely on that order.
    await new Promise((resolve) => setTimeout(resolve, 0));
    return bytes;
  }

  submit(): void {
    this.#check();
    if (this.#recorded) this.counters.submissions += 1;
    this.#recorded = false;
  }

  async idle(): Promise<void> {
    this.#check();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#memory.clear();
    this.#decoded.clear();
    this.#destroy({ reason: "destroyed", message: "destroy() was called" });
  }

  #viewsOf({ kernel, buffers }: KernelCall): Views {
    const half = Object.values(kernel.bindings).some(decodes);
    const cached = half ? undefined : this.#views.get(buffers)?.get(kernel);
    if (cached) return cached;
    const views: Views = {};
    for (const [name, binding] of Object.entries(kernel.bindings)) {
      const slice = buffers[name];
      if (!slice) throw new Error(`${kernel.name} was called without its binding ${name}`);
      views[name] = decodes(binding) ? this.#decode(binding, slice) : this.#live(binding, slice);
    }
    if (half) return views;
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

  #decode(binding: Binding, slice: BufferSlice): Float32Array {
    const { id } = slice.buffer;
    const slices = this.#decoded.get(id) ?? new Map<string, Float32Array>();
    this.#decoded.set(id, slices);
    const key = `${binding.storage} ${slice.offsetBytes} ${slice.sizeBytes}`;
    const known = slices.get(key);
    if (known) return known;
    const decode = binding.storage === "f16" ? f16ToNumber : bf16ToNumber;
    const values = Float32Array.from(this.#live(binding, slice), decode);
    slices.set(key, values);
    return values;
  }

  #bytes(id: number): ArrayBuffer {
    const memory = this.#memory.get(id);
    if (!memory) throw new Error(`buffer ${id} was destroyed or belongs to another device`);
    return memory;
  }

  #check(): void {
    if (!this.#destroyed) return;
    throw new WeftError(
      "device_lost",
      "the reference device was destroyed (engine closed); create the engine again",
    );
  }
}

const decodes = ({ access, storage, raw }: Binding): boolean =>
  access === "read" && !raw && (storage === "f16" || storage === "bf16");
