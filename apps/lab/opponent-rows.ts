/** Other libraries over the operations they share with ours: measured, checked, or said to be absent. */

import type { ModelShape } from "./model-shapes.ts";
import type { Contender, Opponent } from "./opponent.ts";
import { Absent } from "./opponent.ts";
import { type LabRow, shapeText } from "./result.ts";
import { type Peaks, rooflineUs } from "./roofline.ts";
import { type SampleOptions, sample } from "./stopwatch.ts";
import { type Task, tasksOf } from "./tasks.ts";

/** On the wall clock, beside which the way to the GPU and back is to be small. */
const SAMPLE_MS = 20;
/** A processor does about a GFLOP/s so. */
const MAX_CPU_FLOPS = 5e8;

export interface OpponentBench {
  readonly peaks: Peaks;
  readonly sampling: SampleOptions;
}

interface Selection {
  readonly shapes: readonly ModelShape[];
  readonly filter?: string;
  readonly signal?: AbortSignal;
  onProgress?(stage: string, done: number, total: number): void;
}

/** At the first shape's sizes. */
export async function opponentRows(
  opponent: Opponent,
  { shapes, filter, signal, onProgress }: Selection,
  bench: OpponentBench,
): Promise<LabRow[]> {
  const [model] = shapes;
  const pairs = tasksOf(model)
    .filter(({ operation, role }) => !filter || `${operation} ${role}`.includes(filter))
    .flatMap((task) => opponent.backends.map((backend) => ({ task, backend })));
  const rows: LabRow[] = [];
  for (const [index, { task, backend }] of pairs.entries()) {
    signal?.throwIfAborted();
    onProgress?.(opponent.source, index, pairs.length);
    rows.push({
      ...described(opponent, model, task, backend),
      ...(await timed(opponent, task, backend, bench)),
    });
  }
  return rows;
}

function described({ source }: Opponent, { name: model }: ModelShape, task: Task, backend: string) {
  const { operation, role, rows, flops, bytes, shapeDims } = task;
  return {
    name: operation,
    variant: backend,
    ...{ model, role, rows, source, flops, bytes },
    shape: shapeText(shapeDims, ["T", "N", "K", "D", "F", "H", "W"]),
    clock: "wall clock" as const,
    ...{ medianUs: null, gbPerS: null, gflopPerS: null, rooflinePct: null, maxError: null },
  };
}

async function timed(
  opponent: Opponent,
  task: Task,
  backend: string,
  { peaks, sampling }: OpponentBench,
): Promise<Partial<LabRow>> {
  let contender: Contender | undefined;
  try {
    if (backend !== "webgpu" && task.flops > MAX_CPU_FLOPS) {
      throw new Absent(`${(task.flops / 1e9).toFixed(1)} GFLOP would take the processor seconds`);
    }
    contender = await opponent.open(backend, task);
    const { run } = contender;
    const { medianUs } = await sample(
      async (repeats) => {
        const startedMs = performance.now();
        await run(repeats);
        return performance.now() - startedMs;
      },
      sampling,
      SAMPLE_MS,
    );
    const { flops, bytes } = task;
    return {
      variant: `${backend} (${contender.backend})`,
      medianUs,
      gbPerS: bytes / (1e3 * medianUs),
      gflopPerS: flops / (1e3 * medianUs),
      // The roofline is the GPU's.
      rooflinePct:
        backend === "webgpu" ? (100 * rooflineUs({ bytes, flops }, peaks)) / medianUs : null,
      maxError: distance(await contender.read(), task.firstRow(task.inputs())),
      errorShape: "the first row",
    };
  } catch (error) {
    if (error instanceof Absent) return { absent: error.message };
    // Another library's fault is no reason to lose our own figures.
    return { absent: `failed: ${error instanceof Error ? error.message : error}` };
  } finally {
    contender?.destroy();
  }
}

/** Largest difference of the first row, relative to its RMS. */
function distance(got: Float32Array, wanted: Float64Array): number {
  let squares = 0;
  let most = 0;
  for (const [i, value] of wanted.entries()) {
    squares += value * value;
    // A NaN must not pass for a small number.
    most = Math.max(
      most,
      Number.isNaN(got[i]) ? Number.POSITIVE_INFINITY : Math.abs(got[i] - value),
    );
  }
  return most / Math.sqrt(squares / wanted.length);
}
