/** What a model may be loaded with. */
import type { KvStorage } from "../kernels/kv-layout.ts";
import type { LayerPlanSpec } from "../models/layer-plan.ts";
import type { ExpertOptions } from "./experts/expert-options.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import type { Quant } from "./placed-weight.ts";
import type { Activations } from "./shape-families.ts";
import type { TuningCache } from "./tuning/tuning-cache.ts";
import type { OnProgress } from "./weights/progress.ts";

export interface LoadModelOptions {
  /** Weights, activations and KV cache together. */
  readonly memoryBudgetBytes?: number;
  /** Default f16; f32 when the weights are f32. */
  readonly kv?: KvStorage;
  /** Quantises matrices on the way in: 8.5 bits a weight, or 4.5 with embeddings of 8.5. */
  readonly quant?: Quant;
  /** Keeps experts in the model's files, and on the GPU only as many as this allows. */
  readonly experts?: ExpertOptions;
  /**
   * By name, folders of expert-specialised adapters (ESFT): a request that names one goes to its experts
   * instead of the base's. Requests of all adapters share every step.
   */
  readonly adapters?: Readonly<Record<string, ModelFolder>>;
  /**
   * Layer plans that requests will name: a layer that one of them repeats gets a cache for its second
   * run, and a request keeps nothing for attention that its plan leaves out. Plans that repeat no layer
   * may be used without being named here; they then keep a whole cache.
   */
  readonly layerPlans?: readonly LayerPlanSpec[];
  /**
   * A folder with routers of layers (Dr.LLM's tensors), often the model's own: for requests with the layer
   * policy `routers`. Every layer gets a cache for a second run.
   */
  readonly layerRouters?: ModelFolder;
  readonly blockTokens?: 16 | 32;
  readonly maxTokensPerPlan?: number;
  readonly maxRows?: number;
  readonly maxLogitRows?: number;
  /** Most tokens that requests draft at a time, all together. Default 8. */
  readonly maxDraftTokens?: number;
  /**
   * Where the fastest kernels for each matrix are kept. With it, those found before are used where they
   * give the same bits, and an engine that has answered and is idle looks for what is missing: 1.5 s of
   * GPU time at most, for the next load. It never changes a token. Without it the portable kernels run.
   */
  readonly tuning?: TuningCache;
  /**
   * Default true: a request's tokens never depend on what else runs. False lets matrices add in any
   * order, which may be faster (docs/numerics.md has the price); then they do, in rare close calls.
   */
  readonly invariant?: boolean;
  /**
   * Default f32. With i8, rows are rounded to int8, a scale for each 32 columns, where they meet weights
   * in q8_0, q4_0, q4_k or 4-bit groups, and multiplied as integers: faster where a GPU has dot products
   * of them, at a small loss (docs/decisions.md). Other matrices stay in f32.
   */
  readonly activations?: Activations;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}
