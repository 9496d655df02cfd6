// Requests and plans in short, for tests that spell them out.

import { type PlannedRow, SchedulerError, type WorkPlan } from "../../scheduler/index.ts";
import type { FakeRequest } from "./fake-device.ts";

/** Divides no id. */
export const NEVER = 1_000_003;

export function request(
  id: number,
  numPromptTokens: number,
  rest: Partial<FakeRequest> = {},
): FakeRequest {
  const promptTokens = Array.from({ length: numPromptTokens }, (_, i) => (id * 37 + i * 11) % 97);
  return { id, promptTokens, maxTokens: 8, stopEvery: NEVER, ...rest };
}

/** `-id` for each that was taken back, then `id:from-to`, with a star where it samples. */
export function spell(plan: WorkPlan | "idle"): string {
  if (plan === "idle") return plan;
  const row = ({ sequenceId, tokens, sample }: PlannedRow) =>
    `${sequenceId}:${tokens.from}-${tokens.to}${sample ? "*" : ""}`;
  return [...plan.preempted.map((id) => `-${id}`), ...plan.rows.map(row)].join(" ");
}

export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof SchedulerError) return error.code;
    throw error;
  }
  return "no error";
}
