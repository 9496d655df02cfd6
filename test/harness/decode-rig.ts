// The engine's own loop over a model of random weights, put together without the pipelines that
// decoding never uses: on a software driver each takes a second or more to compile.

import { matmulShapes } from "../../kernels/matmul.ts";
import type { WeightFormatName } from "../../kernels/weight-format.ts";
import { numStages } from "../../models/decoder.ts";
import { BlockCopier } from "../../runtime/block-copier.ts";
import type { Device } from "../../runtime/device.ts";
import { LazyPooler } from "../../runtime/lazy-pooler.ts";
import { type ModelPlan, planModel } from "../../runtime/load-model.ts";
import { loadWeights } from "../../runtime/load-weights.ts";
import type { LoopObserver } from "../../runtime/loop-observer.ts";
import { randomFolder } from "../../runtime/model-folder/random-folder.ts";
import { ModelRunner } from "../../runtime/model-runner.ts";
import { modelScheduler } from "../../runtime/model-scheduler.ts";
import type { Quant } from "../../runtime/placed-weight.ts";
import { Sampler } from "../../runtime/sampler.ts";
import { StepLoop } from "../../runtime/step-loop.ts";
import { SwappedBlocks } from "../../runtime/swapped-blocks.ts";
import { Telemetry } from "../../runtime/telemetry.ts";
import type { Scheduler } from "../../scheduler/index.ts";
import type { WorkPlan } from "../../scheduler/work-plan.ts";

export interface DecodeRigOptions {
  /** As in config.json. */
  readonly config: object;
  /** Default f16. */
  readonly quant?: Quant;
  readonly maxRows?: number;
  /** Default as the engine's. */
  readonly maxRunAhead?: number;
  readonly onPlan?: (plan: WorkPlan) => void;
  /** Stand between the loop and its parts, to watch them. */
  readonly watchScheduler?: (scheduler: Scheduler) => Scheduler;
  readonly watchObserver?: (observer: LoopObserver) => LoopObserver;
}

export interface DecodeRig {
  readonly plan: ModelPlan;
  readonly runner: ModelRunner;
  readonly loop: StepLoop;
  /** Greedy tokens of so many sequences at once, each of two prompt tokens. */
  decode(numSequences: number, numTokens: number): Promise<void>;
}

const same = <T>(value: T): T => value;

/** Prompts this short run as decoding does. */
export const PROMPT = [1, 2];

export async function decodeRig(device: Device, options: DecodeRigOptions): Promise<DecodeRig> {
  const {
    config,
    quant,
    maxRows = 8,
    maxRunAhead,
    onPlan,
    watchScheduler = same,
    watchObserver = same,
  } = options;
  const limits = { maxRows, maxTokensPerPlan: 64 };
  const plan = await planModel(device, await randomFolder(config), { ...limits, quant });
  const formats = new Set<WeightFormatName>(
    plan.weights.flatMap(({ runs }) => runs.map(({ format }) => format)),
  );
  const weights = await loadWeights(device, plan.weights, {});
  const shapes = maxRows === 1 ? [matmulShapes.gemv] : [matmulShapes.gemv, matmulShapes.small_m];
  const matmul = new Map(
    [...formats].map((format) => [format, { shapes, fusesNorm: true, fusesRope: true }]),
  );
  const runner = await ModelRunner.create({
    ...plan,
    experts: undefined,
    device,
    weights,
    kvPlan: plan.kv,
    matmul,
  });
  const sampler = await Sampler.create(runner, {
    numSlots: maxRows,
    numRows: maxRows,
    maxContext: plan.maxContext,
  });
  const copier = await BlockCopier.create(runner, plan.kv, maxRows);
  const used = [...runner.pipelines, ...sampler.pipelines].filter(
    ({ kernel }) => !/^(attention_prefill|sample_(?!argmax)|row_copy|rms_norm)/.test(kernel.name),
  );
  await device.prepare(used);
  const scheduler = watchScheduler(
    modelScheduler(plan, {
      maxRunAhead,
      quantumMs: Number.POSITIVE_INFINITY,
      prefixCache: false,
    }),
  );
  const now = () => performance.now();
  const telemetry = new Telemetry({
    ...{ scheduler, now, numStages: numStages(plan.spec) },
    ...{ model: "random", adapter: "" },
  });
  const observer = watchObserver(telemetry);
  const swapped = new SwappedBlocks(runner, plan.kv);
  const pooler = new LazyPooler(runner, maxRows);
  const parts = { runner, sampler, pooler, copier, swapped };
  const loop = new StepLoop({ ...parts, scheduler, now, onPlan, observer });

  const one = (maxTokens: number) =>
    new Promise<void>((resolve, reject) => {
      loop.add({
        promptIds: PROMPT,
        maxTokens,
        sampling: GREEDY,
        onToken: () => false,
        onFinish: () => resolve(),
        onError: reject,
      });
    });
  const decode = async (numSequences: number, numTokens: number): Promise<void> => {
    await Promise.all(Array.from({ length: numSequences }, () => one(numTokens)));
  };
  return { plan, runner, loop, decode };
}

const GREEDY = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: {},
  topLogprobs: null,
  seed: 0n,
};
