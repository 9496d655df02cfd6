/**
 * Forks that wait for their parent's prompt: they take no place in line, so nobody waits behind them.
 * What a fork begins with is its own and its parent's business.
 */
import { SchedulerError } from "./errors.ts";
import type { Sequence } from "./sequence.ts";
import { type SequenceRequest, scopeOf } from "./sequence-request.ts";

export class Forks {
  /** By parent, in order of arrival. */
  readonly #attending = new Map<Sequence, Sequence[]>();

  /** @returns Whether it has to wait for its parent, which will compute what it begins with. */
  attend(fork: Sequence): boolean {
    const { parent } = fork;
    if (parent === undefined || parent.state === "finished" || parent.isForkable) return false;
    // Of a prompt of one token nothing can be shared.
    if (parent.numPromptTokens === 1) return false;
    const others = this.#attending.get(parent);
    if (others === undefined) this.#attending.set(parent, [fork]);
    else others.push(fork);
    return true;
  }

  isAttended(parent: Sequence): boolean {
    return this.#attending.size > 0 && this.#attending.has(parent);
  }

  /** It waits no longer. @returns Whether it did. */
  leave(fork: Sequence): boolean {
    const others = fork.parent && this.#attending.get(fork.parent);
    const index = others?.indexOf(fork) ?? -1;
    if (index >= 0) others?.splice(index, 1);
    return index >= 0;
  }

  /** Those that waited for this one, whose prompt is planned or which has ended. */
  release(parent: Sequence): readonly Sequence[] {
    const forks = this.#attending.get(parent) ?? [];
    this.#attending.delete(parent);
    return forks;
  }
}

/** The first of all that have its prompt by way of `forkOf`. */
export function familyOf(sequence: Sequence): Sequence {
  return sequence.parent ? familyOf(sequence.parent) : sequence;
}

/** @throws {SchedulerError} "bad_request" when the fork could not begin as its parent does. */
export function checkFork(request: SequenceRequest, parent: Sequence | undefined): void {
  if (parent === undefined || beginsAs(parent, request)) return;
  throw new SchedulerError(
    "bad_request",
    `sequence ${request.id} is a fork of ${parent.id}, which has another prompt, cacheSalt, adapter or layerPlan; ` +
      "give both the same, or leave forkOf out",
  );
}

/** As far as ids were told. */
function beginsAs(
  { numPromptTokens, blocks, samples }: Sequence,
  request: SequenceRequest,
): boolean {
  const { ids } = samples;
  const { promptIds = [] } = request;
  if (request.numPromptTokens !== numPromptTokens) return false;
  if (blocks.identity.scope !== scopeOf(request)) return false;
  return promptIds.every((id, i) => i >= ids.length || id === ids[i]);
}
