/**
 * A graph is a list of nodes; a node turns the sizes of a step into one kernel call, or none.
 * Built once per model: the buffers of a node never change, only its sizes do.
 */
import { type Epilogue, isGated } from "../kernels/epilogue.ts";
import type { BufferSlice, Dims, Kernel, KernelCall } from "../kernels/kernel.ts";
import { matmulKernel } from "../kernels/matmul-kernel.ts";
import type { Prologue } from "../kernels/prologue.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { MatmulChoice, MatmulChoices } from "./matmul-choice.ts";
import { type MatrixUse, matrixKey } from "./matrix-use.ts";
import { keptWhileSame, type RowCount, type StepSizes } from "./step-sizes.ts";
import type { Weight } from "./weights.ts";

export interface GraphNode {
  /** Index into embed, (attention, mlp) × L, head. */
  readonly stage: number;
  /** Every pipeline that the node may use, to be compiled before the first step. */
  readonly pipelines: readonly { readonly kernel: Kernel; readonly constants: Dims }[];
  /** What a matrix node multiplies by, for tuning. */
  readonly matrix?: MatrixUse & { readonly weight: BufferSlice; readonly rows: RowCount };
  /** Of the last MLP, which is there twice: for any rows, and for those that are sampled alone. */
  readonly form?: RowCount;
  /** Part of what makes an attention's keys and values: all that a row runs which only keeps those. */
  readonly makesKeys?: boolean;
  /** In place of calls: what runs once the host has brought the experts that were chosen. */
  readonly fetch?: ExpertFetch;
  emit(step: StepSizes): KernelCall | undefined;
}

/**
 * A layer whose experts come and go. The host reads who was chosen, brings those that lack, and runs the
 * products by them: in several lots where they have no room together.
 */
export interface ExpertFetch {
  readonly layer: number;
  readonly rows: RowCount;
  readonly products: readonly GraphNode[];
  /** A layer that runs later, of which the graph has guessed who will be chosen (moe-block.ts). */
  readonly hinted?: number;
  /** Slots of a block in a step; 1 where slots go one by one. */
  blockRows(step: StepSizes): number;
}

/** RMSNorm of a matrix's input. */
export interface InputNorm {
  readonly weight: BufferSlice;
  readonly eps: number;
  /** Takes the normalised rows where the norm is a kernel of its own. */
  readonly out: BufferSlice;
}

/** What a matrix does with up to `maxRows` rows instead of storing them, in its own epilogue. */
export interface FusedTail {
  readonly maxRows: number;
  readonly epilogue: Epilogue;
  /** Of the epilogue; the matrix then has no `out`. */
  readonly buffers: Readonly<Record<string, BufferSlice>>;
  readonly dims: Dims;
}

export interface MatrixOptions {
  readonly rows?: RowCount;
  readonly norm?: InputNorm;
  readonly fused?: FusedTail;
  /** Of a scaled epilogue. */
  readonly scale?: number;
}

export class GraphBuilder {
  readonly nodes: GraphNode[] = [];
  readonly #choices: MatmulChoices;
  #stage = -1;
  #label = "";
  #form: RowCount | undefined;
  #makesKeys = false;

  constructor(choices: MatmulChoices) {
    this.#choices = choices;
  }

  /** Nodes that follow belong to the next stage; its name is the label of their calls. */
  nextStage(label: string): void {
    this.#stage += 1;
    this.#label = label;
  }

  /** Nodes that `add` adds are those of one of two forms. */
  inForm(form: RowCount, label: string, add: () => void): void {
    const outer = this.#label;
    [this.#form, this.#label] = [form, label];
    add();
    [this.#form, this.#label] = [undefined, outer];
  }

  /** Nodes that `add` adds make keys and values. */
  makingKeys(add: () => void): void {
    this.#makesKeys = true;
    add();
    this.#makesKeys = false;
  }

  #push(node: Omit<GraphNode, "stage" | "form" | "makesKeys">): void {
    const makesKeys = this.#makesKeys;
    this.nodes.push({ stage: this.#stage, form: this.#form, makesKeys, ...node });
  }

  /**
   * @param dims Gives undefined for a step that does not need the call; see `keptWhileSame`.
   * @param constants The kernel's `override` values; `dims` must hold the same.
   * @param label Whose work it is, where that is not the stage's.
   */
  add(
    kernel: Kernel,
    buffers: Readonly<Record<string, BufferSlice>>,
    dims: (step: StepSizes) => Dims | undefined,
    constants: Dims = {},
    label = this.#label,
  ): void {
    let latest: KernelCall | undefined;
    const emit = (step: StepSizes) => {
      const sizes = dims(step);
      if (!sizes) return undefined;
      if (latest?.dims !== sizes) latest = { kernel, buffers, dims: sizes, label };
      return latest;
    };
    this.#push({ pipelines: [{ kernel, constants }], emit });
  }

  /** A node that may take several kernels: of those whose dims are there for a step, the first. */
  addOneOf(
    alternatives: readonly {
      readonly kernel: Kernel;
      readonly buffers: Readonly<Record<string, BufferSlice>>;
      readonly dims: (step: StepSizes) => Dims | undefined;
    }[],
  ): void {
    const label = this.#label;
    const emit = keptWhileSame((step): KernelCall | undefined => {
      for (const { kernel, buffers, dims } of alternatives) {
        const sizes = dims(step);
        if (sizes) return { kernel, buffers, dims: sizes, label };
      }
      return undefined;
    });
    const pipelines = alternatives.map(({ kernel }) => ({ kernel, constants: {} }));
    this.#push({ pipelines, emit });
  }

  /** @param addProducts Adds the nodes that multiply by experts. */
  fetch(of: Omit<ExpertFetch, "products">, addProducts: () => void): void {
    const before = this.nodes.length;
    addProducts();
    const products = this.nodes.splice(before);
    const pipelines = products.flatMap((node) => node.pipelines);
    const fetch = { ...of, products };
    this.#push({ pipelines, fetch, emit: () => undefined });
  }

  choiceFor(format: WeightFormatName): MatmulChoice {
    return this.#choices.get(format)!;
  }

  expertChoiceFor(format: WeightFormatName): Pick<MatmulChoice, "shapes" | "fusesNorm"> {
    const choice = this.choiceFor(format);
    return choice.experts ?? choice;
  }

  /**
   * out = x · weightᵀ with an epilogue; one call per shard of the weight. The grid's shape follows
   * the number of rows, and so does what is fused, before and after; none of it changes a bit of the
   * result.
   * @returns Whether the normalised rows then lie in `norm.out`.
   */
  matmul(
    weight: Weight,
    epilogue: Epilogue,
    buffers: Readonly<Record<"x" | "out", BufferSlice>> & { readonly bias?: BufferSlice },
    { rows = "T", norm, fused, scale }: MatrixOptions = {},
  ): (step: StepSizes) => boolean {
    const gated = isGated(epilogue);
    const uses = weight.shards.map((shard): MatrixUse => {
      const N = gated ? shard.rows / 2 : shard.rows;
      const { format } = shard;
      const octets = fused !== undefined;
      return { format, N, K: weight.columns, gated, norm: norm !== undefined, octets };
    });
    const variants = uses.map((use) => this.#variants(use, epilogue, fused));
    const isSeparate = (step: StepSizes) =>
      variants.some((of) => variantFor(of, step[rows]).prologue === "none");
    if (norm) {
      this.#separateNorm(norm, buffers.x, weight.columns, (step) =>
        isSeparate(step) ? step[rows] : 0,
      );
    }
    const label = this.#label;
    for (const [index, shard] of weight.shards.entries()) {
      const own = variants[index];
      const bound = own.map(({ prologue, fused: tail }) => ({
        ...buffers,
        ...(prologue === "norm" ? { norm_weight: norm!.weight } : norm && { x: norm.out }),
        ...tail?.buffers,
        weight: shard.slice,
      }));
      const { N } = uses[index];
      const out_stride = gated ? weight.rows / 2 : weight.rows;
      const sizes = { N, K: weight.columns, out_stride, out_offset: shard.firstRow };
      const emit = keptWhileSame((step): KernelCall | undefined => {
        const T = step[rows];
        if (T === 0) return undefined;
        const variant = variantFor(own, T);
        const dims = {
          T,
          ...sizes,
          ...(norm && { eps: norm.eps }),
          ...(scale && { scale }),
          ...variant.fused?.dims,
        };
        return { kernel: variant.kernel, buffers: bound[own.indexOf(variant)], dims, label };
      });
      const pipelines = own.map(({ kernel }) => ({ kernel, constants: {} }));
      const matrix = { ...uses[index], weight: shard.slice, rows };
      this.#push({ pipelines, matrix, emit });
    }
    return (step) => norm !== undefined && isSeparate(step);
  }

  #variants(
    use: MatrixUse,
    epilogue: Epilogue,
    fused: FusedTail | undefined,
  ): readonly MatmulVariant[] {
    const { format } = use;
    const { shapes, fusesNorm, tuned } = this.choiceFor(format);
    const own = tuned?.get(matrixKey(use)) ?? shapes;
    const numFused = fused?.maxRows ?? 0;
    let numServed = 0;
    return own.flatMap((shape) => {
      const { maxRows, prologues } = shape;
      const prologue = use.norm && fusesNorm && prologues.includes("norm") ? "norm" : "none";
      const variants: MatmulVariant[] = [];
      if (fused && numServed < numFused) {
        const kernel = matmulKernel({ format, shape, prologue, epilogue: fused.epilogue });
        variants.push({ maxRows: Math.min(maxRows, numFused), prologue, kernel, fused });
      }
      if (maxRows > numFused) {
        variants.push({
          maxRows,
          prologue,
          kernel: matmulKernel({ format, shape, prologue, epilogue }),
        });
      }
      numServed = maxRows;
      return variants;
    });
  }

  /** Rows up to which every shard of a QKV matrix may rotate in its epilogue. */
  rotatingRows({ shards }: Weight): number {
    const rows = shards.map(({ format }) => {
      const { shapes, fusesRope } = this.choiceFor(format);
      const other = shapes.findIndex(({ hasOctets }) => !hasOctets);
      if (!fusesRope || other === 0) return 0;
      return other < 0 ? Number.POSITIVE_INFINITY : shapes[other - 1].maxRows;
    });
    return Math.min(...rows);
  }

  #separateNorm(
    { weight, eps, out }: InputNorm,
    x: BufferSlice,
    D: number,
    rows: (step: StepSizes) => number,
  ): void {
    const dims = keptWhileSame((step) => {
      const T = rows(step);
      return T === 0 ? undefined : { T, D, eps };
    });
    this.add(rmsNorm, { x, weight, out }, dims);
  }
}

/** One way to multiply up to so many rows. */
interface MatmulVariant {
  readonly maxRows: number;
  readonly prologue: Prologue;
  readonly kernel: Kernel;
  /** Where it has that epilogue. */
  readonly fused?: FusedTail;
}

/** The last variant serves all that are too many for the others. */
const variantFor = (variants: readonly MatmulVariant[], T: number): MatmulVariant =>
  variants.find(({ maxRows }) => T <= maxRows) ?? variants.at(-1)!;
