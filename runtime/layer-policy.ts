/** Which layers the tokens of a request run, as callers write it. */
import type { LayerPlanSpec } from "../models/layer-plan.ts";
import type { TokenCache } from "../models/token-plan.ts";

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
