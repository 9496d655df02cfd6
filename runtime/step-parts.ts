/** What a step loop drives: all of it lives on one device, and goes with it. */
import type { BlockCopier } from "./block-copier.ts";
import type { LazyPooler } from "./lazy-pooler.ts";
import type { ModelRunner } from "./model-runner.ts";
import type { Sampler } from "./sampler.ts";
import type { SwappedBlocks } from "./swapped-blocks.ts";

export interface StepParts {
  readonly runner: ModelRunner;
  readonly sampler: Sampler;
  readonly pooler: LazyPooler;
  readonly copier: BlockCopier;
  readonly swapped: SwappedBlocks;
}
