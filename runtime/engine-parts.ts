/**
 * All of an engine that lives on one device: the model's weights and cache, the sampler, and how the
 * device fared in the self-test. Made anew, from the model's files, when a device is lost.
 */
import { BlockCopier } from "./block-copier.ts";
import type { Device } from "./device.ts";
import { WeftError } from "./errors.ts";
import { LazyPooler } from "./lazy-pooler.ts";
import { type KvShare, type LoadedModel, loadModel, type ModelPlan } from "./load-model.ts";
import type { LoadModelOptions } from "./load-options.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import { Sampler } from "./sampler.ts";
import { requireSound, type SelfTestReport, selfTest } from "./self-test.ts";
import type { StepParts } from "./step-parts.ts";
import { SwappedBlocks } from "./swapped-blocks.ts";

export interface EngineParts extends StepParts {
  readonly device: Device;
  readonly plan: ModelPlan;
  readonly choice: LoadedModel["choice"];
  readonly selfTest: SelfTestReport;
}

/**
 * @param before Those of the device that was lost: what they found out holds for one of the same kind.
 * @throws {WeftError} of every kind that loading can.
 */
export async function loadParts(
  device: Device,
  folder: ModelFolder,
  options: LoadModelOptions & KvShare,
  before?: EngineParts,
): Promise<EngineParts> {
  const isSame = before?.device.info.identity === device.info.identity;
  const known = isSame ? before : undefined;
  const { runner, plan, choice } = await loadModel(device, folder, options, known?.choice);
  const { maxRows: numSlots, maxLogitRows: numRows, maxContext } = plan;
  const sampler = await Sampler.create(runner, { numSlots, numRows, maxContext });
  const copier = await BlockCopier.create(runner, plan.kv, plan.maxRows);
  const pipelines = [...runner.pipelines, ...sampler.pipelines, ...copier.pipelines];
  await device.prepare(pipelines);
  const report = known?.selfTest ?? (await selfTest(device, pipelines, choice));
  requireSound(report);
  const swapped = new SwappedBlocks(runner, plan.kv);
  const pooler = new LazyPooler(runner, numSlots);
  // Texts that were under way go on at once.
  if (before?.pooler.isUsed) await pooler.ready();
  return { device, plan, choice, selfTest: report, runner, sampler, pooler, copier, swapped };
}

/** Shares of the planned KV cache, tried until the device has room. */
const KV_SHARES = [1, 1 / 2, 1 / 4, 1 / 8];

/**
 * As `loadParts`, with a smaller KV cache where the device has no memory for all of it: each attempt
 * on a device of its own, since what the failed one holds is freed with it. Of a device that cannot
 * be opened again nothing is tried twice.
 * @throws {WeftError} `out_of_memory` when even an eighth is too much.
 */
export async function loadFitting(
  { device: first, folder, reopen }: PartsSource,
  options: LoadModelOptions,
): Promise<EngineParts> {
  let device = first;
  let failure: WeftError | undefined;
  for (const kvShare of KV_SHARES) {
    try {
      return await loadParts(device, folder, { ...options, kvShare });
    } catch (cause) {
      const error = WeftError.from(cause);
      device.destroy();
      // Not even a sequence fits into so small a cache: that it was full is what counts.
      if (failure && error.code === "memory_budget_too_small") throw failure;
      if (error.code !== "out_of_memory" || !reopen) throw error;
      failure = error;
      device = await reopen();
    }
  }
  device.destroy();
  throw failure;
}

interface PartsSource {
  readonly device: Device;
  readonly folder: ModelFolder;
  readonly reopen?: () => Promise<Device>;
}
