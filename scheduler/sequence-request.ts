/** What a caller says of a sequence, and the check of it. */
import type { Alternation } from "./alternating-tokens.ts";
import { scopeKey } from "./block-hash.ts";
import { checkLayerPlan, type PlanLengths } from "./check-layer-plan.ts";
import { SchedulerError } from "./errors.ts";
import { isPositiveInteger } from "./positive-integer.ts";
import { PRIORITIES, type Priority } from "./priority.ts";
import type { Drafter } from "./speculation/round.ts";
import type { LayerPlan, SequenceId } from "./work-plan.ts";

export interface SequenceRequest {
  /** Chosen by the caller; unique among the sequences that have not ended. */
  readonly id: SequenceId;
  /** At least 1. */
  readonly numPromptTokens: number;
  /** As many; without them, what was computed for others is computed again. */
  readonly promptIds?: readonly number[];
  /** Nothing is shared with sequences of another salt. Default: all have one. */
  readonly cacheSalt?: string;
  /** Nothing is shared with sequences of another adapter: their keys and values differ. */
  readonly adapter?: number;
  /** Which stages its rows run; default the configuration's. Another plan shares nothing with it. */
  readonly layerPlan?: LayerPlan;
  /** Most tokens behind the prompt run another plan. Not with a drafter or a routed plan. */
  readonly alternation?: Alternation;
  /** Drafts tokens and verifies them: the same tokens, in fewer passes. */
  readonly drafter?: Drafter;
  /** Most tokens to sample, at least 1. Nothing is to be scheduled for 0: answer it at once. */
  readonly maxTokens: number;
  /** It computes all its tokens itself, at once or again: what it is asked for is made of them. */
  readonly computesAll?: boolean;
  /**
   * Having sampled so many tokens, it sits out until `resume` names a later place: the host has to
   * say what may follow (a grammar, the end of thinking). 1 and then one more each time is every
   * token. The others go on.
   */
  readonly pausesAt?: number;
  /**
   * How urgent, and whose lengths its own is predicted from. Default "interactive". A `completion`
   * ends those before it of the same client and program: the latest wins.
   */
  readonly priority?: Priority;
  /** Wanted within so many milliseconds of `add`: its first token, or all of a `completion`. */
  readonly deadlineMs?: number;
  /** Who asks: clients of a class get equal shares. Default: all are one. */
  readonly client?: string;
  /** What it is a step of: requests of a program are served as if they had come with its first. */
  readonly program?: string;
  /** Whose keys and values `hold` keeps when it has ended, for the session's next request. */
  readonly session?: string;
  /**
   * A live sequence with the same prompt, `cacheSalt`, `adapter` and `layerPlan`, which is computed
   * for both: this one waits until that is planned, begins with its blocks, and computes the last
   * token of the prompt alone. Should the other end or be taken back before, it begins with what the
   * prefix cache has.
   */
  readonly forkOf?: SequenceId;
  /** How many tokens it will sample: known to a simulation, read by the policy "oracle" alone. */
  readonly outputTokens?: number;
}

/** What sequences that share blocks have in common but for their ids. */
export const scopeOf = ({ cacheSalt: salt, adapter, layerPlan }: SequenceRequest): string =>
  scopeKey({ salt, adapter, layerPlan: layerPlan?.hash });

/**
 * @param lengths Of layer plans.
 * @throws {SchedulerError} "bad_request".
 */
export function checkRequest(request: SequenceRequest, lengths: PlanLengths): void {
  const { id, numPromptTokens, maxTokens, priority = "interactive" } = request;
  const { promptIds, deadlineMs, outputTokens, layerPlan, alternation, pausesAt } = request;
  if (!Number.isSafeInteger(id)) refuse(`sequence id ${id} is not an integer`);
  if (!isPositiveInteger(numPromptTokens))
    refuse(
      `sequence ${id} has ${numPromptTokens} prompt tokens; it needs at least 1: ` +
        "begin an empty prompt with the model's first token",
    );
  if (promptIds !== undefined && promptIds.length !== numPromptTokens)
    refuse(
      `sequence ${id} has ${promptIds.length} promptIds for ${numPromptTokens} prompt tokens; ` +
        "give all of them or none",
    );
  if (!isPositiveInteger(maxTokens))
    refuse(
      `sequence ${id} asks for ${maxTokens} new tokens; ` +
        "it needs a whole number from 1 on: answer a request for none without scheduling it",
    );
  if (!PRIORITIES.includes(priority))
    refuse(`sequence ${id} has priority "${priority}"; it must be one of ${PRIORITIES.join(", ")}`);
  if (pausesAt !== undefined && !isPositiveInteger(pausesAt))
    refuse(`sequence ${id} pauses at ${pausesAt} tokens; it needs a whole number from 1 on`);
  if (deadlineMs !== undefined && !(deadlineMs > 0))
    refuse(`sequence ${id} has a deadline of ${deadlineMs} ms; it must be above 0`);
  if (outputTokens !== undefined && !(isPositiveInteger(outputTokens) && outputTokens <= maxTokens))
    refuse(
      `sequence ${id} says ${outputTokens} outputTokens; ` +
        `it must be a whole number from 1 to its maxTokens ${maxTokens}`,
    );
  const plans = { layerPlan, alternation: alternation?.layerPlan };
  for (const [name, plan] of Object.entries(plans))
    if (plan) checkLayerPlan(plan, lengths, `${name} of sequence ${id}`, "bad_request");
}

function refuse(message: string): never {
  throw new SchedulerError("bad_request", message);
}
