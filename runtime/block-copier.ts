/**
 * Copies that a plan asks for, recorded before its rows: a block of a KV group in all its layers. Owns
 * the list that the kernel reads; which blocks, and when, the scheduler decides.
 */
import { blockCopy } from "../kernels/block-copy.ts";
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import type { BlockCopy } from "../scheduler/work-plan.ts";
import { alignUp, type Device, type DeviceBuffer } from "./device.ts";
import type { KvPlan } from "./kv-cache.ts";
import type { ModelRunner } from "./model-runner.ts";

export class BlockCopier {
  readonly #device: Device;
  /** From and to, a list per KV group. */
  readonly #lists: readonly BufferSlice[];
  /** Per KV group. */
  readonly #blockWords: readonly number[];
  /** Per KV group, what each of its layers binds. */
  readonly #layers: readonly (readonly KernelCall["buffers"][])[];

  private constructor(
    device: Device,
    lists: readonly BufferSlice[],
    blockWords: readonly number[],
    layers: readonly (readonly KernelCall["buffers"][])[],
  ) {
    this.#device = device;
    this.#lists = lists;
    this.#blockWords = blockWords;
    this.#layers = layers;
  }

  /** @param maxRows Of a plan: each that starts has at most one copy per KV group. */
  static async create(
    { device, kvPools }: ModelRunner,
    { groups }: KvPlan,
    maxRows: number,
  ): Promise<BlockCopier> {
    const sizeBytes = alignUp(8 * maxRows, Math.max(16, device.info.limits.offsetAlignmentBytes));
    const buffer = await device.createBuffer("block_copies", sizeBytes * groups.length);
    const lists = groups.map((_, group) => ({ buffer, offsetBytes: group * sizeBytes, sizeBytes }));
    const layers = groups.map((group, index) =>
      group.layers.map((layer) => ({ copies: lists[index], kv_pool: kvPools[layer] })),
    );
    const blockWords = groups.map(({ blockBytes }) => blockBytes / 4);
    return new BlockCopier(device, lists, blockWords, layers);
  }

  get pipelines() {
    return [{ kernel: blockCopy, constants: {} }];
  }

  /** Earlier submissions still read the blocks as they were: the queue runs in order. */
  record(copies: readonly BlockCopy[]): void {
    if (copies.length === 0) return;
    this.#layers.forEach((layers, index) => {
      const ofGroup = copies.filter(({ group }) => group === index);
      const { buffer, offsetBytes } = this.#lists[index];
      const pairs = Uint32Array.from(ofGroup.flatMap(({ from, to }) => [from, to]));
      this.#device.write(buffer as DeviceBuffer, offsetBytes, pairs);
      const dims = { N: ofGroup.length, W: this.#blockWords[index] };
      this.#device.record(layers.map((buffers) => ({ kernel: blockCopy, buffers, dims })));
    });
  }
}
