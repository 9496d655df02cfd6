/** Which matrices `bench kernels --tune` tunes, and the memory that it multiplies by. Prints nothing. */

import { bindingBytes, packedRead, weightFormats } from "../../kernels/index.ts";
import {
  type Device,
  type MatrixUse,
  type TuneRequest,
  type TuneResult,
  type TuningCache,
  tuneMatrices,
} from "../../node.ts";
import { matricesOf } from "./cases.ts";
import { patternKind } from "./contents.ts";
import { formatsFor } from "./jobs.ts";
import { isSoftware } from "./lab.ts";
import type { ModelShape } from "./model-shapes.ts";
import { Arena } from "./operands.ts";

export interface LabTuningOptions {
  readonly shapes: readonly ModelShape[];
  /** Only formats and roles whose name holds this text. */
  readonly filter?: string;
  readonly quick: boolean;
  readonly cache: TuningCache;
  readonly signal?: AbortSignal;
}

export interface LabTuningResult extends TuneResult {
  readonly model: string;
  readonly role: string;
}

/** For a driver that takes seconds to compile a kernel; a GPU needs a fraction of it. */
const BUDGET_MS = 60_000;

interface Task extends TuneRequest {
  readonly model: string;
  readonly role: string;
}

/** Each matrix once, though models and roles share some. */
export function tuningTasks({ shapes, filter, quick }: LabTuningOptions): Task[] {
  const tasks = shapes.flatMap((shape, index) =>
    matricesOf(shape).flatMap(({ role, N, K, norm, tail }) =>
      formatsFor(quick, index, role).map((format) => ({
        ...{ model: shape.name, role, format, N, K, norm, gated: tail === "silu" },
        octets: role === "qkv" && !shape.qkNorm,
        maxRows: role === "lm_head" ? 16 : shape.rows[2],
      })),
    ),
  );
  const named = tasks.filter(
    ({ format, role }) => !filter || `matmul[${format}] ${role}`.includes(filter),
  );
  const byWork = new Map(named.map((task) => [JSON.stringify(workOf(task)), task]));
  return [...byWork.values()];
}

const workOf = ({ format, N, K, gated, norm, octets }: MatrixUse) => [
  ...[format, N, K, gated, norm, octets],
];

/** @throws {WeftError} */
export async function* tuneLab(
  device: Device,
  tasks: readonly Task[],
  { quick, cache, signal }: LabTuningOptions,
): AsyncGenerator<LabTuningResult, void, undefined> {
  const arena = new Arena(device, (quick || isSoftware(device) ? 16 : 1024) * 2 ** 20);
  const weightsOf = ({ format, N, K, gated }: MatrixUse) => {
    const binding = packedRead("N,K", weightFormats[format]);
    return arena.slices(patternKind(binding), bindingBytes(binding, { N: gated ? 2 * N : N, K }));
  };
  try {
    for (const task of tasks) {
      const { model, role } = task;
      const options = { cache, budgetMs: BUDGET_MS, weightsOf, signal };
      for await (const result of tuneMatrices(device, [task], options)) {
        yield { model, role, ...result };
      }
    }
  } finally {
    arena.destroy();
  }
}
