/**
 * Layer policies of requests, resolved for a model: which stages their rows run, and what drafts for
 * them. Owns the plans, one object for each, so that rows of equal plans are known as such.
 */
import { type DecoderSpec, layerGroups } from "../models/decoder.ts";
import { defaultExits, exitPlan } from "../models/exit-plan.ts";
import { countSublayers, type LayerPlanSpec, stagePlan } from "../models/layer-plan.ts";
import { decidedPlan } from "../models/layer-routers.ts";
import { tokenPlan } from "../models/token-plan.ts";
import type { Alternation } from "../scheduler/alternating-tokens.ts";
import { HostDrafter } from "../scheduler/speculation/host-drafter.ts";
import { PromptLookup } from "../scheduler/speculation/prompt-lookup.ts";
import type { Drafter } from "../scheduler/speculation/round.ts";
import { SelfDrafter } from "../scheduler/speculation/self-drafter.ts";
import type { LayerPlan as StagePlan } from "../scheduler/work-plan.ts";
import { CalibratedPlans } from "./calibrated-plans.ts";
import { WeftError } from "./errors.ts";
import type { ExpertPlan } from "./experts/expert-plan.ts";
import { Latest } from "./latest.ts";
import type { LayerPolicy } from "./layer-policy.ts";

export interface ResolvedPolicy {
  /** Undefined runs the whole model. */
  readonly layerPlan?: StagePlan;
  /** What most tokens of the answer run. */
  readonly alternation?: Alternation;
  readonly drafter?: Drafter;
  /** For each answer one of its own. */
  lookup?(): PromptLookup;
  /** Of a plan that the device decides: its decisions, by layer, as a plan. */
  onRouted?(decisions: Uint32Array): StagePlan;
  /** The answer may differ from the whole model's. */
  readonly lossy: boolean;
  /** By a token that is not drafted, a sublayer counted as half a layer; as far as it is decided. */
  readonly layersExecuted: number;
}

const FIELDS: Readonly<Record<LayerPolicy["name"], readonly string[]>> = {
  static: ["plan"],
  routers: [],
  temporal: ["plan", "period", "cache"],
  "early-exit": ["exits", "threshold", "consensus"],
  "self-speculation": ["draft", "maxDraftTokens", "always"],
  "prompt-lookup": ["maxDraftTokens", "always"],
};

/** Requests name layers and thresholds as they like: of the plans made for them, the latest are kept. */
const MOST_PLANS = 256;

/** What an engine was created with. */
export interface PolicyLimits {
  readonly spec: DecoderSpec;
  readonly maxDraftTokens: number;
  readonly isRouted: boolean;
  /** Where experts come and go by the host, the device cannot decide what runs. */
  readonly experts?: ExpertPlan;
}

export class LayerPolicies {
  readonly #spec: DecoderSpec;
  readonly #maxDraftTokens: number;
  readonly #isRouted: boolean;
  readonly #canExit: boolean;
  #numRouted = 0;
  readonly #calibrated: CalibratedPlans;
  readonly #plans = new Latest<StagePlan>(MOST_PLANS);
  /** By what they draft with: what one request has taught serves the next. */
  readonly #drafters = new Latest<Drafter>(MOST_PLANS);
  /** What runs where nothing is left out and nothing repeated. */
  readonly standard: StagePlan;

  constructor(
    { spec, maxDraftTokens, isRouted, experts }: PolicyLimits,
    calibrated = new CalibratedPlans(),
  ) {
    this.#spec = spec;
    this.#maxDraftTokens = maxDraftTokens;
    this.#isRouted = isRouted;
    this.#canExit = experts === undefined;
    this.#calibrated = calibrated;
    this.standard = this.#planOf({});
  }

  /**
   * @param isGuided Its answers wait for what a guide says: what drafting saves them tells others nothing.
   * @throws {WeftError} `bad_request`.
   */
  resolve(policy: LayerPolicy | undefined, isGuided = false): ResolvedPolicy {
    const whole = { lossy: false, layersExecuted: countSublayers(this.standard) / 2 };
    if (policy === undefined) return whole;
    this.#check(policy);
    switch (policy.name) {
      case "static": {
        const { plan } = policy;
        const layerPlan = this.#planOf(
          typeof plan === "string" ? this.#calibrated.named(plan) : plan,
        );
        if (layerPlan === this.standard) return whole;
        return { layerPlan, lossy: true, layersExecuted: countSublayers(layerPlan) / 2 };
      }
      case "routers":
        return this.#routers();
      case "temporal":
        return { ...whole, alternation: this.#alternation(policy), lossy: true };
      case "early-exit":
        return { ...whole, alternation: this.#exits(policy), lossy: true };
      case "self-speculation":
        return { ...whole, drafter: this.#selfDrafter(policy, isGuided) };
      case "prompt-lookup":
        return {
          ...{ ...whole, drafter: this.#hostDrafter(policy, isGuided) },
          lookup: () => new PromptLookup(),
        };
    }
  }

  #check(policy: LayerPolicy): void {
    const { name, ...rest } = Object(policy) as LayerPolicy;
    const names = Object.keys(FIELDS);
    if (!names.includes(name)) {
      refuse(`layerPolicy has the name ${JSON.stringify(name)}, it must be ${names.join(", ")}`);
    }
    const stray = Object.keys(rest).find((field) => !FIELDS[name].includes(field));
    if (stray !== undefined) {
      refuse(`layerPolicy ${name} has ${stray}; it takes ${FIELDS[name].join(", ")}`);
    }
  }

  /** Nobody shares what it computes: another prompt may run other layers. */
  #routers(): ResolvedPolicy {
    if (!this.#isRouted) {
      refuse("layerPolicy routers needs an engine with layerRouters; create it with them");
    }
    const { runs, keeps } = this.standard;
    const layerPlan: StagePlan = {
      ...{ runs: runs.map(() => true), keeps: keeps.map(() => true), isRouted: true },
      hash: `routed ${this.#numRouted++}`,
    };
    const policy = {
      ...{ layerPlan, lossy: true, layersExecuted: 0 },
      onRouted: (decisions: Uint32Array) => {
        const plan = this.#planOf(decidedPlan(decisions));
        policy.layersExecuted = countSublayers(plan) / 2;
        return plan;
      },
    };
    return policy;
  }

  #alternation(policy: LayerPolicy & { name: "temporal" }): Alternation {
    const { plan, period = 4, cache = "fill" } = policy;
    if (!Number.isInteger(period) || period < 2) {
      refuse(`period of layerPolicy temporal is ${period}; give a whole number from 2 on`);
    }
    if (cache !== "fill" && cache !== "hole") {
      refuse(`cache of layerPolicy temporal is ${JSON.stringify(cache)}; it is "fill" or "hole"`);
    }
    const groups = layerGroups(this.#spec);
    const layerPlan = this.#known(() => tokenPlan(this.#spec, groups, plan, cache));
    return { layerPlan, period };
  }

  #exits(policy: LayerPolicy & { name: "early-exit" }): Alternation {
    const { exits, consensus = false } = policy;
    const found = exits ? undefined : this.#calibrated.exits;
    const layers = exits ?? found?.map(({ layer }) => layer) ?? defaultExits(this.#spec);
    const { threshold = found?.map((exit) => exit.threshold) ?? 0.95 } = policy;
    if (!this.#canExit) {
      refuse("layerPolicy early-exit needs all experts in memory; leave experts.memoryBytes out");
    }
    if (!Array.isArray(layers)) refuse(`exits are ${JSON.stringify(layers)}; list layers`);
    const rule = { layers, threshold, together: consensus };
    const groups = layerGroups(this.#spec);
    const layerPlan = this.#known(() => exitPlan(this.#spec, groups, rule));
    return { layerPlan, period: Number.POSITIVE_INFINITY };
  }

  #selfDrafter(policy: LayerPolicy & { name: "self-speculation" }, isGuided: boolean): Drafter {
    const { drafts: found = defaultDraft(this.#spec) } = this.#calibrated;
    const { draft = found, always = false } = policy;
    const drafts = Array.isArray(draft) ? draft : [draft];
    if (drafts.length === 0) refuse("draft is an empty list; give a layer plan, or leave it out");
    const ways = drafts.map((plan) => this.#draftWay(plan));
    const max = this.#mostDrafts(policy);
    const plans = ways.map(({ layerPlan }) => layerPlan.hash);
    const key = JSON.stringify(["self", plans, max, always, isGuided]);
    return this.#drafters.take(key, () => new SelfDrafter({ ways, max, guarded: !always }));
  }

  #hostDrafter(policy: LayerPolicy & { name: "prompt-lookup" }, isGuided: boolean): Drafter {
    const max = this.#mostDrafts(policy);
    const { always = false } = policy;
    const key = JSON.stringify(["host", max, always, isGuided]);
    return this.#drafters.take(key, () => new HostDrafter({ max, guarded: !always }));
  }

  #draftWay(plan: LayerPlanSpec) {
    const layerPlan = this.#planOf(plan);
    const repeats = (plan.repeat ?? []).length > 0;
    const isLess = countSublayers(layerPlan) < countSublayers(this.standard);
    if (repeats || !isLess) {
      refuse(`draft is ${JSON.stringify(plan)}; it must leave a sublayer out, and repeat none`);
    }
    return { layerPlan, cost: countSublayers(layerPlan) / countSublayers(this.standard) };
  }

  #mostDrafts({ maxDraftTokens = this.#maxDraftTokens }: { maxDraftTokens?: number }): number {
    const isCount = Number.isInteger(maxDraftTokens) && maxDraftTokens >= 1;
    if (isCount && maxDraftTokens <= this.#maxDraftTokens) return maxDraftTokens;
    if (this.#maxDraftTokens === 0) {
      refuse("this engine drafts nothing; create it with maxDraftTokens of 1 or more");
    }
    return refuse(
      `maxDraftTokens is ${maxDraftTokens}, this engine drafts 1 to ${this.#maxDraftTokens} at a ` +
        "time; ask for as many, or create the engine with more",
    );
  }

  #planOf(spec: LayerPlanSpec): StagePlan {
    return this.#known(() => stagePlan(this.#spec, layerGroups(this.#spec), spec));
  }

  #known(make: () => StagePlan): StagePlan {
    try {
      const plan = make();
      // Undefined while it is made itself.
      const { standard } = this as { standard?: StagePlan };
      return standard?.hash === plan.hash ? standard : this.#plans.take(plan.hash, () => plan);
    } catch (error) {
      return refuse(error instanceof Error ? error.message : String(error));
    }
  }
}

/**
 * Every second layer but the first and the last, as SWIFT begins; calibration finds better ones.
 * @see Xia et al., "SWIFT", arXiv:2410.06916.
 */
const defaultDraft = ({ layers }: DecoderSpec): LayerPlanSpec => ({
  skip: [...layers.keys()].filter((layer) => layer % 2 === 1 && layer < layers.length - 1),
});

function refuse(message: string): never {
  throw new WeftError("bad_request", message);
}
