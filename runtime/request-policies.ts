/**
 * The layer policy of each request. What resolves policies, and what drafts for them, is imported with the first
 * request that names one.
 */
import { layerGroups } from "../models/decoder.ts";
import { countSublayers, stagePlan } from "../models/layer-plan.ts";
import type { CalibratedPlans } from "./calibrated-plans.ts";
import type { LayerPolicies, PolicyLimits, ResolvedPolicy } from "./layer-policies.ts";
import type { LayerPolicy } from "./layer-policy.ts";
import { type GenerateRequest, refuse } from "./request.ts";

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
  async resolve(
    policy: LayerPolicy,
    { n = 1, constraint, thinking }: GenerateRequest,
  ): Promise<ResolvedPolicy> {
    const { LayerPolicies } = await import("./layer-policies.ts");
    this.#policies ??= new LayerPolicies(this.#limits, this.#calibrated);
    const resolved = this.#policies.resolve(policy, (constraint ?? thinking) !== undefined);
    if (n > 1 && resolved.onRouted) {
      refuse("n", n, "1 beside the layer policy routers, which decides for each answer anew");
    }
    return resolved;
  }
}
