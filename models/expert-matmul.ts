/**
 * Multiplying by a stack of experts: which kernel shape for how many tokens. Few tokens take each slot
 * by itself; many take blocks of slots of one expert, small blocks while experts have few slots each.
 */
import { type Epilogue, isGated } from "../kernels/epilogue.ts";
import { blockCapacity } from "../kernels/expert-blocks.ts";
import type { BufferSlice, Dims } from "../kernels/kernel.ts";
import { matmulKernel } from "../kernels/matmul-kernel.ts";
import { rowsFor } from "../kernels/matmul-rows.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import type { GraphBuilder } from "./graph.ts";
import { keptWhileSame, type RowCount } from "./step-sizes.ts";
import type { Weight, WeightShard } from "./weights.ts";

/** Rows that a matrix takes with its norm fused (matmul-few-rows.ts), at most. */
const FUSED_ROWS = 16;
/** Slots up to which an expert that is read for each of them costs less than grouping them does. */
const SINGLE_SLOTS = 64;
/** Of these an expert's slots fill a small block twice. */
const SMALL_BLOCKS = 2;

/** One way to take slots, for steps of up to so many tokens. */
export interface ExpertWay {
  readonly maxTokens: number;
  /** Slots of a block; 1 where there are none. */
  readonly blockRows: number;
  readonly fusesNorm: boolean;
}

interface Stack {
  readonly numExperts: number;
  /** Slots of a token. */
  readonly chosen: number;
}

/** By rising `maxTokens`; both matrices of an expert can go each way, and the last takes any number. */
export function expertWays(
  graph: GraphBuilder,
  stacks: readonly Weight[],
  { numExperts, chosen }: Stack,
): ExpertWay[] {
  const shapesOf = ({ format }: WeightShard) => graph.expertChoiceFor(format).shapes;
  const [first, ...others] = stacks.flatMap(({ shards }) => shards).map(shapesOf);
  const sizes = [...new Set(first.map(({ rowsPerGroup }) => rowsPerGroup))].filter((rows) =>
    others.every((shapes) => shapes.some(({ rowsPerGroup }) => rowsPerGroup === rows)),
  );
  const [gateUp] = stacks[0].shards;
  const fusesNorm =
    graph.expertChoiceFor(gateUp.format).fusesNorm &&
    shapesOf(gateUp).some(
      ({ rowsPerGroup, prologues }) => rowsPerGroup === 1 && prologues.includes("norm"),
    );
  return sizes.map((blockRows, index) => {
    const isLast = index === sizes.length - 1;
    if (blockRows === 1) {
      const most = Math.min(FUSED_ROWS, Math.floor(Math.max(SINGLE_SLOTS, numExperts) / chosen));
      return { maxTokens: isLast ? Number.POSITIVE_INFINITY : most, blockRows, fusesNorm };
    }
    const few = (SMALL_BLOCKS * blockRows * numExperts) / chosen;
    return { maxTokens: isLast ? Number.POSITIVE_INFINITY : few, blockRows, fusesNorm: false };
  });
}

interface ExpertProduct extends Stack {
  readonly rows: RowCount;
  readonly ways: readonly ExpertWay[];
  /** How many slots share a row of x: k where these are tokens. */
  readonly slotsPerX: number;
  /** Of x; where it has one, x is normalised in the matrix's prologue by ways that fuse it. */
  readonly norm?: { readonly x: BufferSlice; readonly weight: BufferSlice; readonly eps: number };
  readonly x: BufferSlice;
  /** Of all experts. */
  readonly bias?: BufferSlice;
  readonly ids: BufferSlice;
  readonly places: BufferSlice;
  readonly blocks: BufferSlice;
  readonly out: BufferSlice;
}

/** out[slot] = x[slot / slotsPerX] · (its expert's rows)ᵀ, one call per shard of the stack. */
export function expertMatmul(
  graph: GraphBuilder,
  stack: Weight,
  epilogue: Epilogue,
  { rows, ways, numExperts, chosen, slotsPerX, norm, x, bias, ...others }: ExpertProduct,
): void {
  const { ids, places, blocks, out } = others;
  const perOutput = isGated(epilogue) ? 2 : 1;
  const N = stack.rows / numExperts / perOutput;
  for (const { format, slice: weight, firstRow, rows: shardRows } of stack.shards) {
    const experts = shardRows / (perOutput * N);
    const first_expert = firstRow / (perOutput * N);
    const alternatives = ways.map((way) => {
      const shape = shapeOf(graph.expertChoiceFor(format).shapes, way.blockRows);
      const fused = norm !== undefined && way.fusesNorm;
      const kernel = matmulKernel({
        ...{ format, shape, epilogue, rows: rowsFor(shape) },
        prologue: fused ? "norm" : "none",
      });
      const buffers = {
        ...(fused ? { x: norm.x, norm_weight: norm.weight } : { x }),
        ...{ weight, out, ...(bias && { bias }) },
        ...(way.blockRows === 1 ? { expert_ids: ids } : { places, blocks }),
      };
      const dims = keptWhileSame((step): Dims | undefined => {
        const T = step[rows];
        if (T === 0 || wayFor(ways, T) !== way) return undefined;
        const S = T * chosen;
        return {
          ...{ T: S, N, K: stack.columns, out_stride: N, out_offset: 0 },
          ...{ experts, first_expert, slots_per_x: slotsPerX, x_rows: S / slotsPerX },
          ...(bias && { all_experts: numExperts }),
          ...(fused && { eps: norm.eps }),
          ...expected(way, S, { experts, numExperts }),
        };
      });
      return { kernel, buffers, dims };
    });
    graph.addOneOf(alternatives);
  }
}

export const wayFor = (ways: readonly ExpertWay[], T: number): ExpertWay =>
  ways.find(({ maxTokens }) => T <= maxTokens)!;

const shapeOf = (shapes: readonly MatmulShape[], rows: number): MatmulShape =>
  shapes.find(({ rowsPerGroup }) => rowsPerGroup === rows)!;

/** Work of a shard if tokens choose evenly: what was chosen, the host does not learn. */
function expected(
  { blockRows }: ExpertWay,
  S: number,
  { experts, numExperts }: { experts: number; numExperts: number },
): Dims {
  const own_slots = (S * experts) / numExperts;
  if (blockRows === 1) return { own_slots };
  const num_blocks = blockCapacity(S, numExperts, blockRows);
  const used = experts * (1 - (1 - 1 / numExperts) ** S);
  return {
    own_slots,
    num_blocks,
    places: num_blocks * blockRows,
    used_blocks: Math.max(used, own_slots / blockRows + used / 2),
  };
}
