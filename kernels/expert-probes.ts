/** Known-answer inputs for matrix kernels over a stack of experts. */
import type { Epilogue } from "./epilogue.ts";
import { rowsPerOutput } from "./epilogue.ts";
import type { Dims, Probe } from "./kernel.ts";
import { normal, uniform } from "./probe.ts";
import type { Prologue } from "./prologue.ts";

/** The stack holds experts 1 to 3 of 5: chosen ones outside of it are another shard's. */
const STACK = { experts: 3, first_expert: 1, all_experts: 5 } as const;

interface Case {
  readonly N: number;
  readonly K: number;
  /** By slot. */
  readonly ids: readonly number[];
  readonly slots_per_x: number;
}

/** @param columns Rounds up to whole blocks of the weights' format. */
export function expertProbes(
  rows: "slots" | "blocks",
  rowsPerGroup: number,
  columns: (K: number) => number,
  prologue: Prologue,
  epilogue: Epilogue,
): Probe[] {
  const hot = Array.from({ length: 2 * rowsPerGroup + 1 }, () => 2);
  const cases: Case[] = [
    { N: 8, K: columns(32), ids: [1, 3], slots_per_x: 1 },
    { N: 35, K: columns(96), ids: [3, 0, 2, 3, 4, 1], slots_per_x: 2 },
    { N: 17, K: columns(1056), ids: [2, 1, ...(rows === "blocks" ? hot : []), 4], slots_per_x: 1 },
  ];
  return cases.map((given) => probeOf(given, rows, rowsPerGroup, prologue, epilogue));
}

function probeOf(
  { N, K, ids, slots_per_x }: Case,
  rows: "slots" | "blocks",
  rowsPerGroup: number,
  prologue: Prologue,
  epilogue: Epilogue,
): Probe {
  const perOutput = rowsPerOutput(epilogue);
  const { bias } = epilogue;
  const T = ids.length;
  const x_rows = T / slots_per_x;
  const isOwn = (id: number) => id >= STACK.first_expert && id < STACK.first_expert + STACK.experts;
  const own = { own_slots: ids.filter(isOwn).length };
  const grouped = rows === "blocks" ? blocksOf(ids, rowsPerGroup) : undefined;
  const dims: Dims = {
    ...{ T, N, K, out_stride: N, out_offset: 0, x_rows, slots_per_x, ...STACK, ...own },
    ...(prologue === "norm" && { eps: 1e-5 }),
    ...(grouped && {
      places: grouped.places.length,
      num_blocks: grouped.blocks.length / 2,
      used_blocks: grouped.experts.filter(isOwn).length,
    }),
  };
  return {
    dims,
    inputs: (random) => ({
      x: normal(x_rows * K, random),
      weight: normal(STACK.experts * perOutput * N * K, random, 1 / Math.sqrt(K)),
      ...(grouped
        ? { places: grouped.places, blocks: grouped.blocks }
        : { expert_ids: new Uint32Array(ids) }),
      ...(prologue === "norm" && { norm_weight: uniform(K, 0.5, 1.5, random) }),
      ...(bias && { bias: normal(STACK.all_experts * perOutput * N, random) }),
    }),
  };
}

/** As expert-blocks.ts groups them, with a block to spare. */
function blocksOf(ids: readonly number[], rowsPerGroup: number) {
  const experts: number[] = [];
  const places: number[] = [];
  const blocks: number[] = [];
  for (const expert of [...new Set(ids)].sort((a, b) => a - b)) {
    const slots = ids.flatMap((id, slot) => (id === expert ? [slot] : []));
    for (let at = 0; at < slots.length; at += rowsPerGroup) {
      const own = slots.slice(at, at + rowsPerGroup);
      experts.push(expert);
      blocks.push(expert, own.length);
      places.push(...own, ...Array<number>(rowsPerGroup - own.length).fill(0));
    }
  }
  blocks.push(0, 0);
  places.push(...Array<number>(rowsPerGroup).fill(0));
  return { experts, places: new Uint32Array(places), blocks: new Uint32Array(blocks) };
}
