/** Keeps what each plan of an engine took, and makes a hardware profile for `weft simulate` of it. */
import { countWeights, type ModelPlan, type PlanListener } from "../../node.ts";
import {
  fitGpu,
  type HardwareProfile,
  type MeasuredPlan,
  type ModelShape,
} from "../../scheduler/index.ts";

export class PlanMeter {
  readonly #plans: MeasuredPlan[] = [];
  #isOn = false;

  /** Give this to the engine. */
  readonly onRead: PlanListener = (plan, times) => {
    if (this.#isOn) this.#plans.push({ plan, ...times });
  };

  /** Plans that are read back meanwhile count; others, a warm-up's, do not. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    this.#isOn = true;
    try {
      return await run();
    } finally {
      this.#isOn = false;
    }
  }

  /** @throws {SchedulerError} "bad_config" when no plan was of use. */
  hardware(plan: ModelPlan): HardwareProfile {
    const model = shapeOf(plan);
    return { gpu: fitGpu(this.#plans, model), model };
  }
}

function shapeOf({ spec, weights, weightBytes, kv }: ModelPlan): ModelShape {
  const numWeights = countWeights(weights);
  return {
    numLayers: spec.layers.length,
    hiddenSize: spec.hiddenSize,
    intermediateSize: spec.ffnSize,
    numHeads: spec.numHeads,
    numKvHeads: spec.numKvHeads,
    headSize: spec.headDim,
    vocabSize: spec.vocabSize,
    bytesPerWeight: weightBytes / numWeights,
    bytesPerKvValue: kv.tokenBytes / (2 * spec.layers.length * spec.numKvHeads * spec.headDim),
  };
}
