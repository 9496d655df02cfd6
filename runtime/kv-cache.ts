/**
 * The paged KV cache: one pool per layer, blocks shared by all layers of a KV group. Sized once from
 * the memory budget and the adapter's limits; block 0 of each pool is the trash block.
 */

import type { BufferSlice } from "../kernels/kernel.ts";
import type { KvStorage } from "../kernels/kv-layout.ts";
import { type DecoderSpec, type LayerGroup, layerGroups } from "../models/decoder.ts";
import type { KvGroup } from "../scheduler/work-plan.ts";
import { alignUp, type Device, type DeviceBuffer, type DeviceLimits } from "./device.ts";
import { WeftError } from "./errors.ts";

export interface KvPlan {
  readonly storage: KvStorage;
  readonly blockTokens: 16 | 32;
  readonly groups: readonly KvGroupPlan[];
  /** Of one token in all layers that attend; those that convolve keep a few tokens of a sequence. */
  readonly tokenBytes: number;
  readonly totalBytes: number;
}

export interface KvGroupPlan extends KvGroup {
  readonly layers: readonly number[];
  /** Bytes of one block of one layer. */
  readonly blockBytes: number;
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

/** Of one token in all layers, or in those that attend, each once. */
export const kvTokenBytes = (
  spec: DecoderSpec,
  storage: KvStorage,
  ofLayers: "all" | "attending" = "all",
): number =>
  layerGroups(spec)
    .filter(({ taps, isExtra }) => ofLayers === "all" || (taps === undefined && !isExtra))
    .reduce((sum, { layers, tokenBytes }) => sum + layers.length * tokenBytes(storage), 0);

/** Of the same block in all layers of a group. */
export const groupBlockBytes = ({
  layers,
  blockBytes,
}: Pick<KvGroupPlan, "layers" | "blockBytes">): number => layers.length * blockBytes;

/** Prompts under way for whose chunks window groups have room, beside a row each that answers. */
const PROMPTS_AT_ONCE = 4;

/**
 * Gives every group the same number of tokens, window groups no more than rows hold: what answers see,
 * and some prompts' chunks; what convolutions keep, no more than half the memory.
 * @throws {WeftError} `memory_budget_too_small`, `limit_exceeded`.
 */
export function planKvCache(spec: DecoderSpec, options: KvPlanOptions): KvPlan {
  const { storage, blockTokens, budgetBytes, limits, maxTokensPerPlan, maxRows } = options;
  const chunk = Math.ceil(maxTokensPerPlan / blockTokens);
  const capacityOf = ({ window, taps }: LayerGroup, bytesOfBlock: number) => {
    if (window === undefined) return Number.POSITIVE_INFINITY;
    const ofRow = Math.ceil(window / blockTokens) + 1;
    const ofRows = 1 + maxRows * ofRow + Math.min(PROMPTS_AT_ONCE, maxRows) * chunk;
    if (taps === undefined) return ofRows;
    // Fewer tokens than others have would do; but the longest chunk is to fit.
    return Math.min(
      ofRows,
      Math.max(1 + ofRow + chunk, Math.floor(budgetBytes / 2 / bytesOfBlock)),
    );
  };
  const groups = layerGroups(spec).map((group, index) => {
    const { window, latent, layers } = group;
    const sizes = { layers, blockBytes: blockTokens * group.tokenBytes(storage) };
    return { index, window, latent, ...sizes, capacity: capacityOf(group, groupBlockBytes(sizes)) };
  });
  const largest = Math.max(...groups.map(({ blockBytes }) => blockBytes));
  if (2 * largest > limits.maxBindingBytes) {
    throw new WeftError(
      "limit_exceeded",
      `a layer's KV cache needs ${2 * largest} bytes in one binding for ${blockTokens} tokens, ` +
        `this adapter allows ${limits.maxBindingBytes}; choose kv: "i8" or a smaller model`,
    );
  }
  const plans = new Array<KvGroupPlan>(groups.length);
  let bytes = budgetBytes;
  let unplanned = groups.reduce((sum, group) => sum + groupBlockBytes(group), 0);
  // Window groups have a cap, so what they leave is for the full ones: smallest cap first.
  for (const group of groups.toSorted((a, b) => a.capacity - b.capacity)) {
    const { index, window, latent, layers, blockBytes, capacity } = group;
    const share = Math.floor(bytes / unplanned);
    const numBlocks = Math.min(share, Math.floor(limits.maxBindingBytes / blockBytes), capacity);
    const kind = window !== undefined ? "window" : latent ? "latent" : "full";
    plans[index] = { kind, ...(window !== undefined && { window }), numBlocks, layers, blockBytes };
    bytes -= numBlocks * groupBlockBytes(group);
    unplanned -= groupBlockBytes(group);
  }
  if (plans.some(({ numBlocks }) => numBlocks < 2)) {
    const needed = 2 * groups.reduce((sum, group) => sum + groupBlockBytes(group), 0);
    throw new WeftError(
      "memory_budget_too_small",
      `the memory budget leaves ${budgetBytes} bytes for the KV cache, ` +
        `one sequence of ${blockTokens} tokens needs ${needed}; ` +
        "raise memoryBudgetBytes or choose a smaller model",
    );
  }
  const tokenBytes = kvTokenBytes(spec, storage, "attending");
  return { storage, blockTokens, groups: plans, tokenBytes, totalBytes: budgetBytes - bytes };
}

/** One slice per layer, packed into as few buffers as the adapter's limits allow. */
export async function createKvCache(
  device: Device,
  { groups }: KvPlan,
): Promise<readonly BufferSlice[]> {
  const { limits } = device.info;
  const slices: BufferSlice[] = [];
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
  for (const { numBlocks, blockBytes, layers } of groups) {
    const size = numBlocks * blockBytes;
    for (const layer of layers) {
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
