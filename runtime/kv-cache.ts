/**
 * The paged KV cache: one pool per layer, blocks shared by all layers of a KV group. Sized once from
 * the memory budget and the adapter's limits; block 0 of each pool is the trash block.
 */

import type { BufferSlice } from "../kernels/kernel.ts";
import { type KvStorage, kvRowBytes } from "../kernels/kv-layout.ts";
import { type DecoderSpec, layerGroups } from "../models/decoder.ts";
import type { KvGroup } from "../scheduler/work-plan.ts";
import { alignUp, type Device, type DeviceBuffer, type DeviceLimits } from "./device.ts";
import { WeftError } from "./errors.ts";

export interface KvPlan {
  readonly storage: KvStorage;
  readonly blockTokens: 16 | 32;
  /** Bytes of one block of one layer. */
  readonly blockBytes: number;
  readonly groups: readonly KvGroup[];
  readonly totalBytes: number;
}

export interface KvPlanOptions {
  readonly storage: KvStorage;
  readonly blockTokens: 16 | 32;
  readonly budgetBytes: number;
  readonly limits: DeviceLimits;
  /** Longest run of tokens that one plan adds to a sequence. */
  readonly maxTokensPerPlan: number;
  readonly maxRows: number;
}

/**
 * Gives every group the same number of tokens, window groups no more than all rows can hold.
 * @throws {WeftError} `memory_budget_too_small`, `limit_exceeded`.
 */
export function planKvCache(spec: DecoderSpec, options: KvPlanOptions): KvPlan {
  const { storage, blockTokens, budgetBytes, limits, maxTokensPerPlan, maxRows } = options;
  const blockBytes = 2 * spec.numKvHeads * blockTokens * kvRowBytes(storage, spec.headDim);
  const groups = layerGroups(spec);
  const perSequence = (window: number) => Math.ceil((window + maxTokensPerPlan) / blockTokens) + 1;
  const capacity = (window: number | undefined) =>
    window === undefined ? Number.POSITIVE_INFINITY : maxRows * perSequence(window) + 1;

  // Window groups have a cap, so what they leave is for the full ones: smallest cap first.
  const order = [...groups].sort((a, b) => capacity(a.window) - capacity(b.window));
  const maxBlocks = Math.floor(limits.maxBindingBytes / blockBytes);
  if (maxBlocks < 2) {
    throw new WeftError(
      "limit_exceeded",
      `a layer's KV cache needs ${2 * blockBytes} bytes in one binding for ${blockTokens} tokens, ` +
        `this adapter allows ${limits.maxBindingBytes}; choose kv: "i8" or a smaller model`,
    );
  }
  const numBlocks = new Map<(typeof groups)[number], number>();
  let bytes = budgetBytes;
  let layers = spec.layers.length;
  for (const group of order) {
    const share = Math.floor(bytes / layers / blockBytes);
    const blocks = Math.min(share, maxBlocks, capacity(group.window));
    numBlocks.set(group, blocks);
    bytes -= blocks * blockBytes * group.layers.length;
    layers -= group.layers.length;
  }
  const smallest = Math.min(...numBlocks.values());
  if (smallest < 2) {
    throw new WeftError(
      "memory_budget_too_small",
      `the memory budget leaves ${budgetBytes} bytes for the KV cache, ` +
        `one sequence of ${blockTokens} tokens needs ${2 * blockBytes * spec.layers.length}; ` +
        "raise memoryBudgetBytes or choose a smaller model",
    );
  }
  return {
    storage,
    blockTokens,
    blockBytes,
    groups: groups.map((group) => ({
      kind: group.window === undefined ? "full" : "window",
      ...(group.window !== undefined && { window: group.window }),
      numBlocks: numBlocks.get(group)!,
    })),
    totalBytes: budgetBytes - bytes,
  };
}

/** One slice per layer, packed into as few buffers as the adapter's limits allow. */
export async function createKvCache(
  device: Device,
  spec: DecoderSpec,
  plan: KvPlan,
): Promise<readonly BufferSlice[]> {
  const { limits } = device.info;
  const slices = new Array<BufferSlice>(spec.layers.length);
  const groups = layerGroups(spec);
  let open: { layers: { layer: number; offset: number; size: number }[]; size: number } = {
    layers: [],
    size: 0,
  };
  const flush = async () => {
    if (open.size === 0) return;
    const buffer: DeviceBuffer = await device.createBuffer("kv_pool", open.size);
    for (const { layer, offset, size } of open.layers) {
      slices[layer] = { buffer, offsetBytes: offset, sizeBytes: size };
    }
    open = { layers: [], size: 0 };
  };
  for (const [index, group] of groups.entries()) {
    const size = plan.groups[index].numBlocks * plan.blockBytes;
    for (const layer of group.layers) {
      const offset = alignUp(open.size, limits.offsetAlignmentBytes);
      if (offset + size > limits.maxBufferBytes) await flush();
      const at = open.size === 0 ? 0 : offset;
      open.layers.push({ layer, offset: at, size });
      open.size = at + size;
    }
  }
  await flush();
  return slices;
}
