/**
 * The logits of given token ids at every position: what is compared with other implementations. Loads the
 * model for this alone.
 */
import { type LayerPlanSpec, stagePlan } from "../models/layer-plan.ts";
import type { Device } from "./device.ts";
import { WeftError } from "./errors.ts";
import { loadModel } from "./load-model.ts";
import type { LoadModelOptions } from "./load-options.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import { type PositionLogits, positionLogits } from "./position-logits.ts";
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

export type { PositionLogits } from "./position-logits.ts";

/** @throws {WeftError} of every kind that loading can; `bad_request`, `request_too_long`. */
export async function* modelLogits(
  device: Device,
  folder: ModelFolder,
  ids: readonly number[],
  { positions = "all", layerPlan, ...options }: LogitsOptions = {},
): AsyncGenerator<PositionLogits, void, undefined> {
  const model = await loadModel(device, folder, {
    ...options,
    maxTokensPerPlan: positions === "all" ? LOGIT_ROWS : undefined,
    maxLogitRows: LOGIT_ROWS,
    ...(layerPlan && { layerPlans: [layerPlan] }),
  });
  const { runner, plan } = model;
  const runs = layerPlan && stagePlan(plan.spec, plan.kv.groups, layerPlan);
  checkIds(ids, plan.spec.vocabSize);
  checkLength(ids.length, 1, plan.maxContext);
  await device.prepare(runner.pipelines);
  yield* positionLogits(model, ids, { positions, layerPlan: runs, signal: options.signal });
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
