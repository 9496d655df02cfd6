/**
 * A graph is a list of nodes; a node turns the sizes of a step into one kernel call, or none.
 * Built once per model: the buffers of a node never change, only its sizes do.
 */
import type { AttentionWorkDims } from "../kernels/attention-work.ts";
import type { Epilogue } from "../kernels/epilogue.ts";
import type { BufferSlice, Dims, Kernel, KernelCall } from "../kernels/kernel.ts";
import { matmul, matmulShapes, shapeForRows } from "../kernels/matmul.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import type { Weight } from "./weights.ts";

/** Sizes of one step. */
export interface StepSizes {
  /** Token rows. */
  readonly T: number;
  /** Rows that are sampled. */
  readonly R: number;
  /** Attention work by KV group. */
  readonly attention: readonly AttentionWorkDims[];
}

export interface GraphNode {
  /** Index into embed, (attention, mlp) × L, head. */
  readonly stage: number;
  /** Every pipeline that the node may use, to be compiled before the first step. */
  readonly pipelines: readonly { readonly kernel: Kernel; readonly constants: Dims }[];
  emit(step: StepSizes): KernelCall | undefined;
}

/** Rows a matrix node works on. */
type RowCount = "T" | "R";

export class GraphBuilder {
  readonly nodes: GraphNode[] = [];
  readonly #shapes: readonly MatmulShape[];
  #stage = -1;
  #label = "";

  /** @param shapesAgree False where only one matrix shape may serve all row counts. */
  constructor(shapesAgree: boolean) {
    this.#shapes = shapesAgree ? Object.values(matmulShapes) : [matmulShapes.small_m];
  }

  /** Nodes that follow belong to the next stage; its name is the label of their calls. */
  nextStage(label: string): void {
    this.#stage += 1;
    this.#label = label;
  }

  /**
   * @param dims Gives undefined for a step that does not need the call.
   * @param constants The kernel's `override` values; `dims` must hold the same.
   */
  add(
    kernel: Kernel,
    buffers: Readonly<Record<string, BufferSlice>>,
    dims: (step: StepSizes) => Dims | undefined,
    constants: Dims = {},
  ): void {
    const label = this.#label;
    const emit = (step: StepSizes) => {
      const sizes = dims(step);
      return sizes && { kernel, buffers, dims: sizes, label };
    };
    this.nodes.push({ stage: this.#stage, pipelines: [{ kernel, constants }], emit });
  }

  /**
   * out = x · weightᵀ with an epilogue; one call per shard of the weight. The grid's shape follows
   * the number of rows, which changes no bit of the result.
   */
  matmul(
    weight: Weight,
    epilogue: Epilogue,
    buffers: Readonly<Record<"x" | "out", BufferSlice>> & { readonly bias?: BufferSlice },
    rows: RowCount = "T",
  ): void {
    const gated = epilogue.tail !== "store" && epilogue.tail !== "residual";
    const variants = new Map<MatmulShape, Kernel>(
      this.#shapes.map((shape) => [
        shape,
        matmul({ format: weight.format, shape: shape.name, epilogue }),
      ]),
    );
    const label = this.#label;
    for (const shard of weight.shards) {
      const bound = { ...buffers, weight: shard.slice };
      const N = gated ? shard.rows / 2 : shard.rows;
      const out_stride = gated ? weight.rows / 2 : weight.rows;
      const emit = (step: StepSizes): KernelCall | undefined => {
        const T = step[rows];
        if (T === 0) return undefined;
        const dims = { T, N, K: weight.columns, out_stride, out_offset: shard.firstRow };
        const kernel = variants.get(shapeForRows(T)) ?? variants.get(matmulShapes.small_m)!;
        return { kernel, buffers: bound, dims, label };
      };
      const pipelines = [...variants.values()].map((kernel) => ({ kernel, constants: {} }));
      this.nodes.push({ stage: this.#stage, pipelines, emit });
    }
  }
}

/** Calls of the nodes in stages [from, to), in order. */
export function* emitCalls(
  nodes: readonly GraphNode[],
  step: StepSizes,
  stages: { readonly from: number; readonly to: number },
): Iterable<KernelCall> {
  for (const node of nodes) {
    if (node.stage < stages.from || node.stage >= stages.to) continue;
    const call = node.emit(step);
    if (call) yield call;
  }
}
