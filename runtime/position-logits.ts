/**
 * A sequence of given ids through a loaded model, for the logits of its positions. A scheduler of its own
 * hands out blocks as for any request, so windows and pools behave as when serving; any chunking gives
 * the same bits. Samples nothing, and shares the model with nobody: whatever its cache held is overwritten.
 */
import { Scheduler } from "../scheduler/index.ts";
import type { LayerPlan, PlannedRow } from "../scheduler/work-plan.ts";
import { bytesToFloats } from "./device.ts";
import { throwIfAborted } from "./errors.ts";
import type { LoadedModel, ModelPlan } from "./load-model.ts";
import type { ModelRunner } from "./model-runner.ts";
import { stageConfig } from "./model-scheduler.ts";

export interface PositionLogits {
  readonly position: number;
  /** The id at this position; `logits` are those of the id after it. */
  readonly tokenId: number;
  readonly logits: Float32Array;
}

export interface PositionLogitsOptions {
  readonly positions: "all" | "last";
  /** Which stages run; all by default. */
  readonly layerPlan?: LayerPlan;
  /** Of one step; the model's `maxTokensPerPlan` by default. At most its `maxLogitRows` for all positions. */
  readonly chunkTokens?: number;
  readonly signal?: AbortSignal;
}

/** The ids are of the model's vocabulary, and fit its context. Its pipelines are prepared. */
export async function* positionLogits(
  { runner, plan }: Pick<LoadedModel, "runner" | "plan">,
  ids: readonly number[],
  { positions, layerPlan, chunkTokens, signal }: PositionLogitsOptions,
): AsyncGenerator<PositionLogits, void, undefined> {
  for (const row of sequenceChunks(plan, ids.length, { layerPlan, chunkTokens })) {
    throwIfAborted(signal);
    yield* logitsOfRow(runner, ids, row, positions === "all");
  }
}

/** The rows that compute a sequence of so many tokens, one a step; the last one samples. */
export function* sequenceChunks(
  plan: ModelPlan,
  numPromptTokens: number,
  { layerPlan, chunkTokens }: Pick<PositionLogitsOptions, "layerPlan" | "chunkTokens"> = {},
): Iterable<PlannedRow> {
  const { kv, maxRows } = plan;
  const maxTokensPerPlan = chunkTokens ?? plan.maxTokensPerPlan;
  const scheduler = new Scheduler({
    ...stageConfig(plan),
    blockTokens: kv.blockTokens,
    maxTokensPerPlan,
    maxRows: Math.min(maxRows, maxTokensPerPlan),
  });
  scheduler.add({ id: 1, numPromptTokens, maxTokens: 1, layerPlan }, 0);
  for (let work = scheduler.schedule(0); work !== "idle"; work = scheduler.schedule(0)) {
    const [row] = work.rows;
    yield row;
    const sampled = row.sample ? [{ sequenceId: row.sequenceId, finished: true }] : [];
    // Such a scheduler predicts no cost, so it has none to learn.
    scheduler.commit({ planId: work.id, gpuMs: 0, sampled }, 0);
  }
}

async function* logitsOfRow(
  runner: ModelRunner,
  ids: readonly number[],
  planned: PlannedRow,
  every: boolean,
): AsyncGenerator<PositionLogits, void, undefined> {
  const { device, spec, logits } = runner;
  const { from, to } = planned.tokens;
  const last = to - from - 1;
  const rows = every ? Array.from({ length: last + 1 }, (_, i) => i) : planned.sample ? [last] : [];
  await runner.record([{ planned, ids, slot: 0 }], { logitRows: rows });
  if (rows.length === 0) {
    device.submit();
    return;
  }
  const sizeBytes = 4 * rows.length * spec.vocabSize;
  const reading = device.readback({ ...logits, sizeBytes });
  device.submit();
  const values = bytesToFloats(await reading);
  for (const [index, row] of rows.entries()) {
    const position = from + row;
    const at = index * spec.vocabSize;
    const own = values.slice(at, at + spec.vocabSize);
    yield { position, tokenId: ids[position], logits: own };
  }
}
