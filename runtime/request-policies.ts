/**
 * The layer policy of each request. What resolves policies, and what drafts for them, is imported with the first
 * request that names one.
 */
import { layerGroups } from "../models/decoder.ts";
import { countSublayers, stagePlan } from "../models/layer-plan.ts";
import type { CalibratedPlans } from "./calibrated-plans.ts";
import type { LayerPolicies, PolicyLimits, ResolvedPolicy } from "./layer-policies.ts";
import type { LayerPolicy } from "./layer-policy.ts";

export class RequestPolicies {
  /** Of requests that name none: all layers, once. */
  readonly whole: ResolvedPolicy;
  readonly #limits: PolicyLimits;
  readonly #calibrated: CalibratedPlans;
  #policies: LayerPolicies | undefined;

  constructor(limits: PolicyLimits, calibrated: CalibratedPlans) {
    const { spec } = limits;
    this.#limits = limits;
    this.#calibrated = calibrated;
    const standard = stagePlan(spec, layerGroups(spec), {});
    this.whole = { lossy: false, layersExecuted: countSublayers(standard) / 2 };
  }

  /** @throws {WeftError} `bad_request`. */
  async resolve(policy: LayerPolicy): Promise<ResolvedPolicy> {
    const { LayerPolicies } = await import("./layer-policies.ts");
    this.#policies ??= new LayerPolicies(this.#limits, this.#calibrated);
    return this.#policies.resolve(policy);
  }
}
