/**
 * Finds the fastest shape of a matrix for a kind of row count, among those that give its bits. What
 * does not compile or gives others is dropped, with the reason.
 */
import type { Kernel } from "../../kernels/kernel.ts";
import { matmul } from "../../kernels/matmul.ts";
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import type { MatrixUse } from "../../models/matrix-use.ts";
import type { Device } from "../device.ts";
import { reasonOf, WeftError } from "../errors.ts";
import type { Budget } from "./budget.ts";
import { candidatesFor } from "./candidates.ts";
import { fastest } from "./halving.ts";
import { MatrixBench, type TunableMatrix } from "./matrix-bench.ts";
import { BUCKET_ROWS, bucketOf, type RowBucket } from "./row-bucket.ts";

export interface TunedMatrix {
  readonly use: MatrixUse;
  readonly bucket: RowBucket;
  /** Rows that were multiplied. */
  readonly rows: number;
  readonly shape: MatmulShape;
  readonly us: number;
  readonly standard: MatmulShape;
  readonly standardUs: number;
  /** Candidates that were measured. */
  readonly tried: number;
  /** Whether there was time to compile all of them. */
  readonly isComplete: boolean;
  readonly dropped: readonly { readonly shape: string; readonly reason: string }[];
}

/** Drivers compile on their own threads. */
const COMPILED_AT_ONCE = 4;

/**
 * @param standard What multiplies so many rows without tuning.
 * @returns undefined when the budget ended before there was a winner.
 * @throws {WeftError} `device_lost`, `out_of_memory`.
 */
export async function tuneMatrix(
  device: Device,
  matrix: TunableMatrix,
  standard: MatmulShape,
  budget: Budget,
): Promise<TunedMatrix | undefined> {
  const { format, N, K, gated, norm, octets, maxRows } = matrix;
  const use = { format, N, K, gated, norm, octets };
  const bucket = bucketOf(standard);
  const rows = Math.min(BUCKET_ROWS[bucket], maxRows);
  const shapes = candidatesFor(device.info, use, standard);
  const kernels = new Map(shapes.map((shape) => [shape, kernelOf(use, shape)]));
  const dropped = new Map<MatmulShape, string>();
  const { compiled, isComplete } = await compileAll(device, kernels, budget, dropped);
  if (!compiled.has(standard)) return undefined;
  const bench = await MatrixBench.create(device, matrix, rows, budget);
  try {
    const expected = await bench.outputs(kernels.get(standard)!);
    for (const shape of compiled) {
      if (shape === standard) continue;
      const actual = await bench.outputs(kernels.get(shape)!);
      if (!expected || !actual) return undefined;
      if (!sameBytes(expected, actual)) dropped.set(shape, `other bits than ${standard.name}`);
    }
    const left = shapes.filter((shape) => compiled.has(shape) && !dropped.has(shape));
    const found = await fastest(left, (shape) => bench.sample(kernels.get(shape)!));
    return (
      found && {
        ...{ use, bucket, rows, standard },
        ...{ shape: found.winner.candidate, us: found.winner.us, standardUs: found.standard.us },
        ...{ tried: left.length, isComplete },
        dropped: Array.from(dropped, ([shape, reason]) => ({ shape: shape.name, reason })),
      }
    );
  } finally {
    bench.destroy();
  }
}

/**
 * In order, for half of the time that is left: what then is not compiled does not take part, so that
 * a slow compiler, too, leaves time to measure.
 */
async function compileAll(
  device: Device,
  kernels: ReadonlyMap<MatmulShape, Kernel>,
  budget: Budget,
  dropped: Map<MatmulShape, string>,
): Promise<{ compiled: ReadonlySet<MatmulShape>; isComplete: boolean }> {
  const compiled = new Set<MatmulShape>();
  const queue = [...kernels];
  const reserveMs = budget.leftMs / 2;
  while (queue.length > 0 && budget.leftMs > reserveMs) {
    const some = queue.splice(0, COMPILED_AT_ONCE);
    const results = await budget.spend(() =>
      Promise.allSettled(some.map(([, kernel]) => device.prepare([{ kernel, constants: {} }]))),
    );
    for (const [i, result] of (results ?? []).entries()) {
      const [shape] = some[i];
      if (result.status === "fulfilled") compiled.add(shape);
      else if (WeftError.from(result.reason).code !== "kernel_rejected") throw result.reason;
      else dropped.set(shape, reasonOf(result.reason));
    }
  }
  for (const [shape] of queue) dropped.set(shape, "not compiled in the time that tuning has");
  return { compiled, isComplete: queue.length === 0 };
}

/** As a model runs it, but for a residual add, which would change the output from run to run. */
function kernelOf({ format, gated, norm }: MatrixUse, shape: MatmulShape): Kernel {
  const prologue = norm && shape.prologues.includes("norm") ? "norm" : "none";
  const epilogue = { bias: false, tail: gated ? "silu" : "store" } as const;
  return matmul({ format, shape: shape.name, prologue, epilogue });
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
