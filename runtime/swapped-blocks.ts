/**
 * Blocks of the KV cache that the host keeps for sequences that were taken back. Owns their bytes;
 * which blocks go and come, and when, the scheduler decides.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { LayerGroup } from "../models/decoder.ts";
import type { BlockSwap, SequenceId } from "../scheduler/work-plan.ts";
import type { Device, DeviceBuffer } from "./device.ts";

export interface SwappedBlocksOptions {
  readonly device: Device;
  /** By layer. */
  readonly kvPools: readonly BufferSlice[];
  readonly groups: readonly LayerGroup[];
  /** Bytes of one block of one layer. */
  readonly blockBytes: number;
}

/** By KV group and index: the block's bytes in each layer of the group. */
type KeptBlocks = Map<string, Uint8Array[]>;

export class SwappedBlocks {
  /** Both ways, since the beginning. */
  movedBytes = 0;
  readonly #options: SwappedBlocksOptions;
  readonly #kept = new Map<SequenceId, KeptBlocks>();

  constructor(options: SwappedBlocksOptions) {
    this.#options = options;
  }

  /**
   * Records copies of the blocks as they are now; submit before anything is written to them. Blocks
   * that lie side by side in a pool are one copy.
   * @returns Resolves when the host has them.
   */
  async out(swaps: readonly BlockSwap[]): Promise<void> {
    const { device, groups, kvPools, blockBytes } = this.#options;
    const arrivals: Promise<void>[] = [];
    for (const run of runsOf(swaps)) {
      const { group, block } = run[0];
      const places = run.map((swap) => this.#place(swap));
      groups[group].layers.forEach((layer, place) => {
        const { buffer, offsetBytes } = kvPools[layer];
        const slice = {
          buffer,
          offsetBytes: offsetBytes + block * blockBytes,
          sizeBytes: run.length * blockBytes,
        };
        const read = device.readback(slice).then((bytes) => {
          places.forEach((kept, i) => {
            kept[place] = bytes.subarray(i * blockBytes, (i + 1) * blockBytes);
          });
        });
        arrivals.push(read);
        this.movedBytes += slice.sizeBytes;
      });
    }
    await Promise.all(arrivals);
  }

  /** Writes blocks that have arrived; takes effect before the next submission. */
  in(swaps: readonly BlockSwap[]): void {
    const { device, groups, kvPools, blockBytes } = this.#options;
    for (const { sequenceId, group, index, block } of swaps) {
      const kept = this.#kept.get(sequenceId)!.get(`${group}/${index}`)!;
      groups[group].layers.forEach((layer, place) => {
        const { buffer, offsetBytes } = kvPools[layer];
        device.write(buffer as DeviceBuffer, offsetBytes + block * blockBytes, kept[place]);
      });
      this.movedBytes += blockBytes * groups[group].layers.length;
    }
  }

  /** Nobody asks for them any more. */
  drop(id: SequenceId): void {
    this.#kept.delete(id);
  }

  #place({ sequenceId, group, index }: BlockSwap): Uint8Array[] {
    const kept = this.#kept.get(sequenceId) ?? new Map<string, Uint8Array[]>();
    this.#kept.set(sequenceId, kept);
    const place: Uint8Array[] = [];
    kept.set(`${group}/${index}`, place);
    return place;
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
