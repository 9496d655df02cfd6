/** The policies that `simulate` compares: what each changes about the scheduler's configuration. */
import type { SchedulerConfig } from "../config.ts";

export type PolicyOverlay = Partial<Omit<SchedulerConfig, "numLayers" | "kvGroups" | "costs">>;

export const policies = {
  "past-future": { admission: "past-future" },
  conservative: { admission: "conservative" },
  optimistic: { admission: "optimistic" },
  /** Knows how long each answer will be: the bound, not a choice. */
  oracle: { admission: "oracle" },
  /** As other engines do by default: in order of arrival, whoever's prompt fits now. */
  fcfs: { order: "fcfs", admission: "optimistic" },
  /** With a quantum: long prompts are cut by tokens, by layers, or by what is done sooner. */
  chunked: { cutBy: "tokens", maxTokensPerPlan: 8192 },
  layered: { cutBy: "layers", maxTokensPerPlan: 8192 },
  rectangles: { cutBy: "sooner", maxTokensPerPlan: 8192 },
} as const satisfies Record<string, PolicyOverlay>;

export type PolicyName = keyof typeof policies;
