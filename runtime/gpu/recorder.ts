/**
 * Kernel calls to one command buffer of one compute pass. Bind groups are kept for as long as a
 * call's `buffers` object lives. Steps record the same calls in the same order, so what was made of
 * the call at the same place is tried first: such a step costs little more than the GPU's own calls.
 */
import type { Dims, KernelCall } from "../../kernels/kernel.ts";
import { FIRST_STORAGE_BINDING } from "../../kernels/source.ts";
import type { DeviceCounters } from "../device.ts";
import { ParamSlots, SLOT_BYTES } from "./param-slots.ts";
import { type Pipeline, type PipelineCache, serves } from "./pipelines.ts";
import type { SubmissionTimer } from "./submission-timer.ts";

export interface RecorderOptions {
  readonly counters: DeviceCounters;
  /** Told of every pass. */
  readonly timer?: SubmissionTimer;
  gpuBuffer(id: number): GPUBuffer;
  /** Test builds: the buffer of byte counters, bound after the kernel's own bindings. */
  readonly byteCounts?: GPUBuffer;
}

/** A pipeline on some buffers. */
interface Binding {
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
}

/** What a pipeline makes of dims. */
interface Sizes {
  readonly dims: Dims;
  readonly grid: readonly [number, number, number];
  readonly offsets: readonly number[];
  /** Of the slots: another one made the offsets void. */
  readonly filling: number;
}

/** What was made of the call at one place, in the step before. */
interface Dispatch {
  call: KernelCall;
  binding: Binding;
  sizes: Sizes;
}

export class Recorder {
  readonly #device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #options: RecorderOptions;
  readonly #params: ParamSlots;
  readonly #bindings = new WeakMap<object, readonly Binding[]>();
  /** Layers share the dims of a step: another one may have had them just now. */
  readonly #latest = new Map<Pipeline, Sizes>();
  /** By place in a submission. */
  readonly #dispatches: Dispatch[] = [];
  #place = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  constructor(device: GPUDevice, pipelines: PipelineCache, options: RecorderOptions) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#options = options;
    this.#params = new ParamSlots(device);
  }

  record(calls: Iterable<KernelCall>): void {
    let numDispatches = 0;
    for (const call of calls) {
      const { binding, sizes } = this.#next(call);
      const { grid, offsets } = sizes;
      if (grid[0] * grid[1] * grid[2] === 0) continue;
      const pass = this.#pass ?? this.#beginPass();
      pass.setPipeline(binding.pipeline.pipeline);
      pass.setBindGroup(0, binding.group, offsets);
      if (call.grid) {
        const { buffer, offsetBytes } = call.grid;
        pass.dispatchWorkgroupsIndirect(this.#options.gpuBuffer(buffer.id), offsetBytes);
      } else {
        pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
      }
      numDispatches += 1;
    }
    this.#options.counters.dispatches += numDispatches;
  }

  /** The open encoder, outside any pass: for copies between dispatches. */
  encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  submit(): void {
    this.#place = 0;
    if (!this.#encoder) return;
    const commands = this.encoder().finish();
    this.#options.counters.writtenBytes += this.#params.write();
    this.#device.queue.submit([commands]);
    this.#options.counters.submissions += 1;
    this.#encoder = undefined;
  }

  destroy(): void {
    this.#params.buffer.destroy();
  }

  #beginPass(): GPUComputePassEncoder {
    const timestampWrites = this.#options.timer?.nextPass();
    this.#pass = this.encoder().beginComputePass({ timestampWrites });
    return this.#pass;
  }

  /** What to make of the call at the next place. */
  #next(call: KernelCall): Dispatch {
    const place = this.#place;
    const known = this.#dispatches[place];
    if (known?.call === call && known.sizes.filling === this.#params.filling) {
      this.#place = place + 1;
      return known;
    }
    const dispatch = this.#prepare(call, known);
    // Params that had no room left were submitted first, and places begin anew.
    this.#dispatches[this.#place++] = dispatch;
    return dispatch;
  }

  /** @param known What was made of the last call at the place: of the same, with other sizes. */
  #prepare(call: KernelCall, known: Dispatch | undefined): Dispatch {
    const isBound =
      known?.call.buffers === call.buffers &&
      serves(known.binding.pipeline, call.kernel, call.dims);
    const binding = isBound ? known.binding : this.#bind(call);
    const sizes = this.#size(binding.pipeline, call.dims);
    if (!isBound) return { call, binding, sizes };
    known.call = call;
    known.sizes = sizes;
    return known;
  }

  #size(pipeline: Pipeline, dims: Dims): Sizes {
    const latest = this.#latest.get(pipeline);
    if (latest?.dims === dims && latest.filling === this.#params.filling) return latest;
    if (this.#params.isFull) {
      this.submit();
      this.#params.clear();
    }
    const grid = pipeline.kernel.workgroups(dims);
    // A grid of nothing is never dispatched, so it needs no params.
    const offsets = grid.includes(0) ? [] : this.#params.offsets(pipeline, dims);
    const sizes = { dims, grid, offsets, filling: this.#params.filling };
    this.#latest.set(pipeline, sizes);
    return sizes;
  }

  #bind({ kernel, buffers, dims }: KernelCall): Binding {
    const bindings = this.#bindings.get(buffers) ?? [];
    for (const known of bindings) if (serves(known.pipeline, kernel, dims)) return known;
    const pipeline = this.#pipelines.get(kernel, dims);
    if (!pipeline) throw new Error(`${kernel.name} was recorded before it was prepared`);
    const group = this.#createBindGroup(pipeline, buffers);
    const binding = { pipeline, group };
    this.#bindings.set(buffers, [...bindings, binding]);
    return binding;
  }

  #createBindGroup(
    { kernel, layout, params }: Pipeline,
    buffers: KernelCall["buffers"],
  ): GPUBindGroup {
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
    if (params.length > 0) {
      const resource = { buffer: this.#params.buffer, size: SLOT_BYTES };
      entries.unshift({ binding: 0, resource });
    }
    this.#options.counters.bindGroups += 1;
    return this.#device.createBindGroup({ label: kernel.name, layout, entries });
  }
}
