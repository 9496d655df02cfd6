/** `weft-llm/scheduler`: decisions without a GPU. Exports what a runtime or a test needs. */
export type { AdmissionName } from "./admission/policies.ts";
export type { Alternation } from "./alternating-tokens.ts";
export type { SchedulerConfig } from "./config.ts";
export {
  type CostModel,
  LearnedCosts,
  type PlanWork,
  type RooflineProfile,
  rooflineMs,
  UNKNOWN_DEVICE,
} from "./cost-model.ts";
export { SchedulerError, type SchedulerErrorCode } from "./errors.ts";
export type { SchedulerEvent } from "./event.ts";
export type { KvGroupMap, KvMap } from "./kv-map.ts";
export * from "./metrics/index.ts";
export { PRIORITIES, type Priority } from "./priority.ts";
export { type QueueState, queueDelayMs } from "./queue-delay.ts";
export { type Random, seededRandom } from "./random.ts";
export { Scheduler } from "./scheduler.ts";
export type { SequenceRequest } from "./sequence-request.ts";
export * from "./simulator/index.ts";
export { HostDrafter } from "./speculation/host-drafter.ts";
export { PromptLookup } from "./speculation/prompt-lookup.ts";
export type { Drafter } from "./speculation/round.ts";
export { SelfDrafter } from "./speculation/self-drafter.ts";
export type {
  BlockCopy,
  BlockSwap,
  KvGroup,
  LayerPlan,
  PlannedRow,
  PlanOutcome,
  SampledOutcome,
  SequenceId,
  StageRange,
  TokenRange,
  WorkPlan,
} from "./work-plan.ts";
