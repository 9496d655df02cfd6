/** What of an engine is tuned in its idle time. */
import type { EngineParts } from "../engine-parts.ts";
import { IdleTuner } from "./idle-tuner.ts";
import { tunableMatrices } from "./model-matrices.ts";
import type { TuningCache } from "./tuning-cache.ts";

/** Work of tuning in the idle time of one engine; its pipelines are built within it. */
const TUNING_MS = 1500;

/** @returns None where nothing is kept, or no GPU is there to be tuned for. */
export function engineTuner(
  { device, plan, choice, runner }: EngineParts,
  cache: TuningCache | undefined,
  isIdle: () => boolean,
): IdleTuner | undefined {
  if (!cache || device.info.kind !== "gpu") return undefined;
  const { maxTokensPerPlan: T, maxLogitRows: R } = plan;
  return new IdleTuner({
    ...{ device, cache, standard: choice.matmul, budgetMs: TUNING_MS, isIdle },
    matrices: tunableMatrices(runner.nodes, { T, R }),
  });
}
