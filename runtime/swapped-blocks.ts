/**
 * Blocks of the KV cache that the host keeps for sequences that were taken back. Owns their bytes;
 * which blocks go and come, and when, the scheduler decides.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import { type LayerGroup, layerGroups } from "../models/decoder.ts";
import type { BlockSwap, SequenceId } from "../scheduler/work-plan.ts";
import type { Device, DeviceBuffer } from "./device.ts";
import type { KvPlan } from "./kv-cache.ts";
import type { ModelRunner } from "./model-runner.ts";

/** By KV group and index: the block's bytes in each layer of the group. */
type KeptBlocks = Map<string, Uint8Array[]>;

export class SwappedBlocks {
  readonly #device: Device;
  readonly #groups: readonly LayerGroup[];
  /** By layer. */
  readonly #kvPools: readonly BufferSlice[];
  /** Of one layer. */
  readonly #blockBytes: number;
  readonly #kept = new Map<SequenceId, KeptBlocks>();

  constructor({ device, spec, kvPools }: ModelRunner, { blockBytes }: KvPlan) {
    this.#device = device;
    this.#groups = layerGroups(spec);
    this.#kvPools = kvPools;
    this.#blockBytes = blockBytes;
  }

  /**
   * Records copies of the blocks as they are now; submit before anything is written to them. Blocks
   * that lie side by side in a pool are one copy.
   * @returns Resolves when the host has them.
   */
  async out(swaps: readonly BlockSwap[]): Promise<void> {
    const arrivals = runsOf(swaps).flatMap((run) => {
      const kept = run.map((swap) => this.#keep(swap));
      return this.#slices(run[0], run.length).map(async (slice, layer) => {
        const bytes = await this.#device.readback(slice);
        kept.forEach((layers, i) => {
          layers[layer] = bytes.subarray(i * this.#blockBytes, (i + 1) * this.#blockBytes);
        });
      });
    });
    await Promise.all(arrivals);
  }

  /** Writes blocks that have arrived; takes effect before the next submission. */
  in(swaps: readonly BlockSwap[]): void {
    for (const swap of swaps) {
      const layers = this.#kept.get(swap.sequenceId)!.get(`${swap.group}/${swap.index}`)!;
      this.#slices(swap, 1).forEach(({ buffer, offsetBytes }, layer) => {
        this.#device.write(buffer as DeviceBuffer, offsetBytes, layers[layer]);
      });
    }
  }

  /** Nobody asks for them any more. */
  drop(id: SequenceId): void {
    this.#kept.delete(id);
  }

  /** Adjacent blocks of a group in each of its layers. */
  #slices({ group, block }: BlockSwap, numBlocks: number): BufferSlice[] {
    return this.#groups[group].layers.map((layer) => {
      const { buffer, offsetBytes } = this.#kvPools[layer];
      return {
        buffer,
        offsetBytes: offsetBytes + block * this.#blockBytes,
        sizeBytes: numBlocks * this.#blockBytes,
      };
    });
  }

  /** Where the block's bytes go, layer by layer. */
  #keep({ sequenceId, group, index }: BlockSwap): Uint8Array[] {
    const kept: KeptBlocks = this.#kept.get(sequenceId) ?? new Map();
    this.#kept.set(sequenceId, kept);
    const layers: Uint8Array[] = [];
    kept.set(`${group}/${index}`, layers);
    return layers;
  }
}

/** Of one group and in adjacent blocks. */
function runsOf(swaps: readonly BlockSwap[]): BlockSwap[][] {
  const sorted = [...swaps].sort((a, b) => a.group - b.group || a.block - b.block);
  const runs: BlockSwap[][] = [];
  for (const swap of sorted) {
    const last = runs.at(-1)?.at(-1);
    if (last?.group === swap.group && last.block + 1 === swap.block) runs.at(-1)!.push(swap);
    else runs.push([swap]);
  }
  return runs;
}
