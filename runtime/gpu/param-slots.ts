/**
 * The params of dispatches in one uniform buffer, a slot for each combination of numbers. They stay
 * from submission to submission, so steps of sizes that were seen before write none.
 */
import type { Dims } from "../../kernels/kernel.ts";
import type { Pipeline } from "./pipelines.ts";

/** Dynamic uniform offsets are multiples of 256 on every adapter. */
export const SLOT_BYTES = 256;
const SLOT_WORDS = SLOT_BYTES / 4;
const SLOTS = 1024;

export class ParamSlots {
  readonly buffer: GPUBuffer;
  /** Changes when all slots are given anew; offsets from before are worth nothing then. */
  filling = 0;
  readonly #queue: GPUQueue;
  readonly #words = new Uint32Array(SLOTS * SLOT_WORDS);
  readonly #floats = new Float32Array(this.#words.buffer);
  readonly #slots = new Map<Pipeline, number[]>();
  #numSlots = 0;
  #numWritten = 0;

  constructor(device: GPUDevice) {
    this.#queue = device.queue;
    this.buffer = device.createBuffer({
      label: "params",
      size: SLOTS * SLOT_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  get isFull(): boolean {
    return this.#numSlots === SLOTS;
  }

  /** Only while nothing is recorded that was not submitted. */
  clear(): void {
    this.#slots.clear();
    this.#numSlots = 0;
    this.#numWritten = 0;
    this.filling += 1;
  }

  /** Dynamic offsets for `setBindGroup`; none where the kernel has no params. Not when full. */
  offsets(pipeline: Pipeline, dims: Dims): readonly number[] {
    return pipeline.params.length === 0 ? [] : [this.#slot(pipeline, dims) * SLOT_BYTES];
  }

  /** Before the submission that reads them; ordered after earlier ones. @returns Bytes. */
  write(): number {
    const from = this.#numWritten * SLOT_BYTES;
    const bytes = this.#numSlots * SLOT_BYTES - from;
    if (bytes > 0) this.#queue.writeBuffer(this.buffer, from, this.#words.buffer, from, bytes);
    this.#numWritten = this.#numSlots;
    return bytes;
  }

  /** Layers share most of their params. */
  #slot(pipeline: Pipeline, dims: Dims): number {
    const { params } = pipeline;
    const at = this.#numSlots * SLOT_WORDS;
    for (let i = 0; i < params.length; i++) {
      const { name, isFloat } = params[i];
      (isFloat ? this.#floats : this.#words)[at + i] = dims[name];
    }
    const slots = this.#slots.get(pipeline) ?? [];
    for (const slot of slots) {
      if (this.#sameWords(slot * SLOT_WORDS, at, params.length)) return slot;
    }
    this.#slots.set(pipeline, slots);
    slots.push(this.#numSlots);
    return this.#numSlots++;
  }

  #sameWords(a: number, b: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.#words[a + i] !== this.#words[b + i]) return false;
    return true;
  }
}
