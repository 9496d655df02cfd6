/**
 * Blocks of the KV cache that the host keeps for sequences that were taken back. Owns their bytes;
 * which blocks go and come, and when, the scheduler decides.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { BlockSwap, SequenceId } from "../scheduler/work-plan.ts";
import type { Device, DeviceBuffer } from "./device.ts";
import type { KvGroupPlan, KvPlan } from "./kv-cache.ts";
import type { ModelRunner } from "./model-runner.ts";

/** By KV group and index: the block's bytes in each layer of the group. */
type KeptBlocks = Map<string, Uint8Array[]>;

export class SwappedBlocks {
  readonly #device: Device;
  readonly #groups: readonly KvGroupPlan[];
  /** By layer. */
  readonly #kvPools: readonly BufferSlice[];
  readonly #kept = new Map<SequenceId, KeptBlocks>();

  constructor({ device, kvPools }: ModelRunner, { groups }: KvPlan) {
    this.#device = device;
    this.#groups = groups;
    this.#kvPools = kvPools;
  }

  /**
   * Records copies of the blocks as they are now, which is one mapping; submit before anything is
   * written to them.
   * @returns Resolves when the host has them.
   */
  async out(swaps: readonly BlockSwap[]): Promise<void> {
    if (swaps.length === 0) return;
    const kept = swaps.map((swap) => this.#keep(swap));
    const slices = swaps.flatMap((swap) => this.#slices(swap));
    const bytes = await this.#device.readback(...slices);
    let end = 0;
    swaps.forEach(({ group }, i) => {
      const { layers, blockBytes } = this.#groups[group];
      for (let layer = 0; layer < layers.length; layer++) {
        kept[i][layer] = bytes.subarray(end, end + blockBytes);
        end += blockBytes;
      }
    });
  }

  /** Writes blocks that have arrived; takes effect before the next submission. */
  in(swaps: readonly BlockSwap[]): void {
    for (const swap of swaps) {
      const layers = this.#kept.get(swap.sequenceId)!.get(`${swap.group}/${swap.index}`)!;
      this.#slices(swap).forEach(({ buffer, offsetBytes }, layer) => {
        this.#device.write(buffer as DeviceBuffer, offsetBytes, layers[layer]);
      });
    }
  }

  /** Nobody asks for them any more. */
  drop(id: SequenceId): void {
    this.#kept.delete(id);
  }

  /** The block in each layer of its group. */
  #slices({ group, block }: BlockSwap): BufferSlice[] {
    const { layers, blockBytes: sizeBytes } = this.#groups[group];
    return layers.map((layer) => {
      const { buffer, offsetBytes } = this.#kvPools[layer];
      return { buffer, offsetBytes: offsetBytes + block * sizeBytes, sizeBytes };
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
