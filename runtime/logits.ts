/**
 * The logits of given token ids at every position: what is compared with other implementations. The
 * scheduler hands out blocks as for any request, so windows and pools behave as when serving; any
 * chunking gives the same bits. Samples nothing.
 */
import { type LayerPlanSpec, stagePlan } from "../models/layer-plan.ts";
import { createScheduler } from "../scheduler/index.ts";
import type { LayerPlan, PlannedRow } from "../scheduler/work-plan.ts";
import { bytesToFloats, type Device } from "./device.ts";
import { throwIfAborted, WeftError } from "./errors.ts";
import { type LoadModelOptions, loadModel, type ModelPlan } from "./load-model.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import type { ModelRunner } from "./model-runner.ts";
import { stageConfig } from "./model-scheduler.ts";
import { checkLength } from "./request.ts";

/** Positions that get logits in one step: 32 rows of 256 Ki ids are 32 MiB. */
const LOGIT_ROWS = 32;

export interface LogitsOptions
  extends Pick<
    LoadModelOptions,
    "memoryBudgetBytes" | "experts" | "kv" | "quant" | "onProgress" | "signal"
  > {
  /** `all` by default. */
  readonly positions?: "all" | "last";
  /** Which layers run; all by default. */
  readonly layerPlan?: LayerPlanSpec;
}

export interface PositionLogits {
  readonly position: number;
  /** The id at this position; `logits` are those of the id after it. */
  readonly tokenId: number;
  readonly logits: Float32Array;
}

/** @throws {WeftError} of every kind that loading can; `bad_request`, `request_too_long`. */
export async function* modelLogits(
  device: Device,
  folder: ModelFolder,
  ids: readonly number[],
  { positions = "all", layerPlan, ...options }: LogitsOptions = {},
): AsyncGenerator<PositionLogits, void, undefined> {
  const { runner, plan } = await loadModel(device, folder, {
    ...options,
    maxTokensPerPlan: positions === "all" ? LOGIT_ROWS : undefined,
    maxLogitRows: LOGIT_ROWS,
    ...(layerPlan && { layerPlans: [layerPlan] }),
  });
  const runs = layerPlan && stagePlan(plan.spec, plan.kv.groups, layerPlan);
  checkIds(ids, plan.spec.vocabSize);
  checkLength(ids.length, 1, plan.maxContext);
  await device.prepare(runner.pipelines);
  for (const row of planChunks(plan, ids.length, runs)) {
    throwIfAborted(options.signal);
    yield* logitsOfRow(runner, ids, row, positions === "all");
  }
}

function* planChunks(
  plan: ModelPlan,
  numPromptTokens: number,
  layerPlan: LayerPlan | undefined,
): Iterable<PlannedRow> {
  const { kv, maxTokensPerPlan, maxRows } = plan;
  const scheduler = createScheduler({
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
  await runner.record([{ planned, ids, slot: 0 }], rows);
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

function checkIds(ids: readonly number[], vocabSize: number): void {
  const stray = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (stray === undefined && ids.length > 0) return;
  throw new WeftError(
    "bad_request",
    `ids ${stray === undefined ? "is empty" : `has ${stray}`}, it must have one id or more from ` +
      `0 to ${vocabSize - 1}, the model's vocabulary; encode the text with this model's tokenizer`,
  );
}
