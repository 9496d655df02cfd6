/**
 * Layer policies of requests, resolved for a model: which stages their rows run. Owns the plans, one
 * object for each, so that rows of equal plans are known as such.
 */
import { type DecoderSpec, layerGroups } from "../models/decoder.ts";
import { countSublayers, type LayerPlanSpec, stagePlan } from "../models/layer-plan.ts";
import type { LayerPlan as StagePlan } from "../scheduler/work-plan.ts";
import { WeftError } from "./errors.ts";

export type { LayerPlanSpec as LayerPlan } from "../models/layer-plan.ts";

/** Which layers the tokens of a request run: `static` leaves the same ones out for all of them. */
export interface LayerPolicy {
  readonly name: "static";
  readonly plan: LayerPlanSpec;
}

export interface ResolvedPolicy {
  /** Undefined runs the whole model. */
  readonly layerPlan?: StagePlan;
  /** The answer may differ from the whole model's. */
  readonly lossy: boolean;
  /** By a token, a sublayer counted as half a layer. */
  readonly layersExecuted: number;
}

const NAMES = ["static"];

export class LayerPolicies {
  readonly #spec: DecoderSpec;
  readonly #plans = new Map<string, StagePlan>();
  /** What runs where nothing is left out and nothing repeated. */
  readonly standard: StagePlan;

  constructor(spec: DecoderSpec) {
    this.#spec = spec;
    this.standard = this.#planOf({});
  }

  /** @throws {WeftError} `bad_request`. */
  resolve(policy: LayerPolicy | undefined): ResolvedPolicy {
    if (policy === undefined) return resolved(this.standard, false);
    const { name, plan, ...rest } = Object(policy) as LayerPolicy;
    if (!NAMES.includes(name)) {
      refuse(`layerPolicy has the name ${JSON.stringify(name)}, it must be ${NAMES.join(", ")}`);
    }
    const stray = Object.keys(rest).at(0);
    if (stray !== undefined)
      refuse(`layerPolicy has ${JSON.stringify(stray)}; it takes name, plan`);
    const layerPlan = this.#planOf(plan);
    if (layerPlan === this.standard) return resolved(layerPlan, false);
    return { layerPlan, ...resolved(layerPlan, true) };
  }

  #planOf(spec: LayerPlanSpec): StagePlan {
    try {
      const plan = stagePlan(this.#spec, layerGroups(this.#spec), spec);
      const known = this.#plans.get(plan.hash) ?? plan;
      this.#plans.set(plan.hash, known);
      return known;
    } catch (error) {
      return refuse(error instanceof Error ? error.message : String(error));
    }
  }
}

const resolved = (plan: StagePlan, lossy: boolean): ResolvedPolicy => ({
  lossy,
  layersExecuted: countSublayers(plan) / 2,
});

function refuse(message: string): never {
  throw new WeftError("bad_request", message);
}
