/**
 * Kernel calls to one command buffer: one compute pass, params in one uniform buffer that is
 * written once per submission, bind groups kept for as long as a call's `buffers` object lives.
 */
import type { Kernel, KernelCall } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING, packParams } from "../../kernels/source.ts";
import type { DeviceCounters } from "../device.ts";
import type { Pipeline, PipelineCache } from "./pipelines.ts";
import type { SubmissionTimer } from "./submission-timer.ts";

/** Dynamic uniform offsets are multiples of 256 on every adapter. */
const SLOT_BYTES = 256;
const SLOTS = 1024;

export interface RecorderOptions {
  readonly counters: DeviceCounters;
  /** Told of every pass. */
  readonly timer?: SubmissionTimer;
  gpuBuffer(id: number): GPUBuffer;
  /** Test builds: the buffer of byte counters, bound after the kernel's own bindings. */
  readonly byteCounts?: GPUBuffer;
}

export class Recorder {
  readonly #device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #options: RecorderOptions;
  readonly #uniforms: GPUBuffer;
  readonly #params = new DataView(new ArrayBuffer(SLOTS * SLOT_BYTES));
  readonly #slots = new Map<string, number>();
  readonly #bindGroups = new WeakMap<object, Map<GPUComputePipeline, GPUBindGroup>>();
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  constructor(device: GPUDevice, pipelines: PipelineCache, options: RecorderOptions) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#options = options;
    this.#uniforms = device.createBuffer({
      label: "params",
      size: SLOTS * SLOT_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  dispatch(call: KernelCall): void {
    const { kernel, dims } = call;
    const pipeline = this.#pipelines.get(kernel, dims);
    if (!pipeline) throw new Error(`${kernel.name} was recorded before it was prepared`);
    const [x, y, z] = kernel.workgroups(dims);
    if (x * y * z === 0) return;
    if (this.#slots.size === SLOTS) this.submit();
    const offsets = pipeline.hasParams ? [this.#paramSlot(kernel, dims) * SLOT_BYTES] : [];
    this.#pass ??= this.encoder().beginComputePass({
      timestampWrites: this.#options.timer?.nextPass(),
    });
    this.#pass.setPipeline(pipeline.pipeline);
    this.#pass.setBindGroup(0, this.#bindGroup(call, pipeline), offsets);
    this.#pass.dispatchWorkgroups(x, y, z);
    this.#options.counters.dispatches += 1;
  }

  /** The open encoder, outside any pass: for copies between dispatches. */
  encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  submit(): void {
    if (!this.#encoder) return;
    const commands = this.encoder().finish();
    const bytes = this.#slots.size * SLOT_BYTES;
    // Ordered on the queue after earlier submissions, so one buffer serves them all.
    if (bytes > 0) this.#device.queue.writeBuffer(this.#uniforms, 0, this.#params.buffer, 0, bytes);
    this.#device.queue.submit([commands]);
    this.#options.counters.submissions += 1;
    this.#options.counters.writtenBytes += bytes;
    this.#encoder = undefined;
    this.#slots.clear();
  }

  destroy(): void {
    this.#uniforms.destroy();
  }

  /** Layers share most of their params, so equal ones share a slot. */
  #paramSlot(kernel: Kernel, dims: Readonly<Record<string, number>>): number {
    let key = "";
    for (const name in kernel.params) key += `${kernel.params[name]}${dims[name]} `;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#slots.size;
    packParams(kernel, dims, this.#params, slot * SLOT_BYTES);
    this.#slots.set(key, slot);
    return slot;
  }

  #bindGroup({ kernel, buffers }: KernelCall, pipeline: Pipeline): GPUBindGroup {
    const groups = this.#bindGroups.get(buffers) ?? new Map<GPUComputePipeline, GPUBindGroup>();
    this.#bindGroups.set(buffers, groups);
    const known = groups.get(pipeline.pipeline);
    if (known) return known;
    const entries: GPUBindGroupEntry[] = Object.keys(kernel.bindings).map((name, i) => {
      const slice = buffers[name];
      if (!slice) throw new Error(`${kernel.name} was called without its binding ${name}`);
      const buffer = this.#options.gpuBuffer(slice.buffer.id);
      const resource = { buffer, offset: slice.offsetBytes, size: slice.sizeBytes };
      return { binding: FIRST_STORAGE_BINDING + i, resource };
    });
    if (this.#options.byteCounts) {
      const resource = { buffer: this.#options.byteCounts };
      entries.push({ binding: FIRST_STORAGE_BINDING + entries.length, resource });
    }
    if (pipeline.hasParams) {
      entries.unshift({ binding: 0, resource: { buffer: this.#uniforms, size: SLOT_BYTES } });
    }
    const group = this.#device.createBindGroup({
      label: kernel.name,
      layout: pipeline.layout,
      entries,
    });
    groups.set(pipeline.pipeline, group);
    this.#options.counters.bindGroups += 1;
    return group;
  }
}
