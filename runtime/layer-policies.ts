/**
 * Layer policies of requests, resolved for a model: which stages their rows run, and what drafts for
 * them. Owns the plans, one object for each, so that rows of equal plans are known as such.
 */
import { type DecoderSpec, layerGroups } from "../models/decoder.ts";
import { defaultExits, exitPlan } from "../models/exit-plan.ts";
import { countSublayers, type LayerPlanSpec, stagePlan } from "../models/layer-plan.ts";
import { decidedPlan } from "../models/layer-routers.ts";
import { type TokenCache, tokenPlan } from "../models/token-plan.ts";
import {
  type Alternation,
  type Drafter,
  HostDrafter,
  PromptLookup,
  SelfDrafter,
} from "../scheduler/index.ts";
import type { LayerPlan as StagePlan } from "../scheduler/work-plan.ts";
import { CalibratedPlans } from "./calibrated-plans.ts";
import { WeftError } from "./errors.ts";
import type { ExpertPlan } from "./experts/expert-plan.ts";

export type { LayerPlanSpec as LayerPlan } from "../models/layer-plan.ts";

/**
 * Which layers the tokens of a request run. Two never change a token, sampled ones included:
 *
 * - `self-speculation`: tokens are guessed with some layers left out (`draft`, or several to learn the
 *   best of), and verified several at once by the whole model;
 * - `prompt-lookup`: guessed from what the prompt and the answer have said before.
 *
 * Both go on without where that is faster, unless `always`. Four are lossy:
 *
 * - `static`: the same layers are left out, or run twice, for every token;
 * - `routers`: those that the engine's `layerRouters` choose by the prompt, then the same for every token;
 * - `temporal`: one token in every `period` of the answer runs the whole model, the others leave layers out.
 *   The schedule is that of LoRA-Drop, without the matrices that it trains.
 * - `early-exit`: tokens of the answer leave the last layers out, each where it is sure of what comes next.
 */
export type LayerPolicy =
  | {
      readonly name: "static";
      /** Or the name of one that calibration has found. */
      readonly plan: LayerPlanSpec | string;
    }
  | { readonly name: "routers" }
  | {
      readonly name: "temporal";
      /** What tokens between leave out; repeats none. */
      readonly plan: LayerPlanSpec;
      /** Default 4. */
      readonly period?: number;
      /**
       * What they keep of attention that they leave out: keys and values of its input all the same, the
       * default, or nothing. For holes the engine needs the plan among its `layerPlans`.
       */
      readonly cache?: TokenCache;
    }
  | {
      readonly name: "early-exit";
      /**
       * Layers before which a token may leave off, rising. Default: what calibration has found, or else at
       * 70, 80 and 90 % of them.
       */
      readonly exits?: readonly number[];
      /**
       * It does where its likeliest next token is at least so probable; or one for each exit. Default: what
       * calibration has found, or 0.95.
       */
      readonly threshold?: number | readonly number[];
      /** Tokens of a step leave off together or not at all: the answer depends on who else asks. */
      readonly consensus?: boolean;
    }
  | {
      readonly name: "self-speculation";
      /** Default: what calibration has found, or else every second layer. */
      readonly draft?: LayerPlanSpec | readonly LayerPlanSpec[];
      /** Most guesses before they are verified, 1 to the engine's `maxDraftTokens`, the default. */
      readonly maxDraftTokens?: number;
      readonly always?: boolean;
    }
  | { readonly name: "prompt-lookup"; readonly maxDraftTokens?: number; readonly always?: boolean };

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
  readonly #plans = new Map<string, StagePlan>();
  /** By what they draft with: what one request has taught serves the next. */
  readonly #drafters = new Map<string, Drafter>();
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

  /** @throws {WeftError} `bad_request`. */
  resolve(policy: LayerPolicy | undefined): ResolvedPolicy {
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
        return { ...whole, drafter: this.#selfDrafter(policy) };
      case "prompt-lookup":
        return { ...whole, drafter: this.#hostDrafter(policy), lookup: () => new PromptLookup() };
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

  #selfDrafter(policy: LayerPolicy & { name: "self-speculation" }): Drafter {
    const { drafts: found = defaultDraft(this.#spec) } = this.#calibrated;
    const { draft = found, always = false } = policy;
    const plans = Array.isArray(draft) ? draft : [draft];
    if (plans.length === 0) refuse("draft is an empty list; give a layer plan, or leave it out");
    const ways = plans.map((plan) => this.#draftWay(plan));
    const max = this.#mostDrafts(policy);
    const key = JSON.stringify(["self", ways.map(({ layerPlan }) => layerPlan.hash), max, always]);
    return this.#drafter(key, () => new SelfDrafter({ ways, max, guarded: !always }));
  }

  #hostDrafter(policy: LayerPolicy & { name: "prompt-lookup" }): Drafter {
    const max = this.#mostDrafts(policy);
    const { always = false } = policy;
    const key = JSON.stringify(["host", max, always]);
    return this.#drafter(key, () => new HostDrafter({ max, guarded: !always }));
  }

  #drafter(key: string, make: () => Drafter): Drafter {
    const known = this.#drafters.get(key) ?? make();
    this.#drafters.set(key, known);
    return known;
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
      const known = this.#plans.get(plan.hash) ?? plan;
      this.#plans.set(plan.hash, known);
      return known;
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
