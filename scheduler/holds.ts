/**
 * Sessions whose keys and values stay in memory while nobody computes: an agent waits for its tool, a
 * reader thinks. Continuum's pins (arXiv 2511.02230), with the time to live told by the application
 * instead of guessed. What is held is a prefix in the cache; its last, partly filled block is not.
 */
import { SchedulerError } from "./errors.ts";
import type { KvBlocks } from "./kv-blocks.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceBlocks } from "./sequence-blocks.ts";

interface Session {
  /** No longer than this; in the past when nothing is to be held. */
  untilMs: number;
  /** Of the latest request that ended: where it could be found, and all its ids. */
  last?: {
    readonly scope: string;
    readonly ids: readonly number[];
    /** By KV group, of one with a layer plan. */
    readonly keeps?: readonly boolean[];
  };
  held?: SequenceBlocks;
}

/** Sessions remembered; the one used longest ago is forgotten, unless it holds blocks. */
const MAX_SESSIONS = 1024;

export class Holds {
  readonly #blocks: KvBlocks;
  /** The one used longest ago first. */
  readonly #sessions = new Map<string, Session>();
  /** Ended by the session's next request, by their time, and because nobody else could run. */
  readonly counts = { used: 0, expired: 0, broken: 0 };

  constructor(blocks: KvBlocks) {
    this.#blocks = blocks;
  }

  /** Blocks held, per KV group; those that two sessions share count twice. */
  numBlocks(group: number, except?: string): number {
    let sum = 0;
    for (const [name, { held }] of this.#sessions)
      if (held !== undefined && name !== except) sum += held.numHeld(group);
    return sum;
  }

  /**
   * Keep what the session's latest request computed, or its next one will have, for so long.
   * @throws {SchedulerError} "bad_request".
   */
  hold(name: string, ms: number, nowMs: number): void {
    if (!(ms > 0))
      throw new SchedulerError(
        "bad_request",
        `hold of session "${name}" for ${ms} ms; it must be above 0: use release to end one`,
      );
    const session = this.#use(name);
    session.untilMs = nowMs + ms;
    this.#take(session);
  }

  /** Keep no longer. */
  release(name: string): void {
    const session = this.#sessions.get(name);
    if (session === undefined) return;
    session.untilMs = Number.NEGATIVE_INFINITY;
    this.#drop(session);
  }

  /** A request of the session holds from now on what the hold was for. */
  observeStart({ session: name }: Sequence): void {
    const session = name === undefined ? undefined : this.#sessions.get(name);
    if (session?.held === undefined) return;
    this.#drop(session);
    this.counts.used += 1;
  }

  /** A request of the session has ended; its blocks are free, and still in the cache. */
  observeEnd({ session: name, blocks, hasStarted, plans }: Sequence, nowMs: number): void {
    if (name === undefined || !hasStarted) return;
    const session = this.#use(name);
    const { scope, ids } = blocks.identity;
    session.last = { scope, ids, keeps: plans.own?.keeps };
    if (session.untilMs > nowMs) this.#take(session);
  }

  expire(nowMs: number): void {
    for (const session of this.#sessions.values()) {
      if (session.held === undefined || session.untilMs > nowMs) continue;
      this.#drop(session);
      this.counts.expired += 1;
    }
  }

  /** Give up the hold that would last longest. @returns False when there is none. */
  break(): boolean {
    let last: Session | undefined;
    for (const session of this.#sessions.values())
      if (session.held && (last === undefined || session.untilMs > last.untilMs)) last = session;
    if (last === undefined) return false;
    this.#drop(last);
    this.counts.broken += 1;
    return true;
  }

  /** What was held is gone; it holds again what its next request computes. */
  lose(): void {
    for (const session of this.#sessions.values()) this.#drop(session);
  }

  /** The new blocks before the old ones go: most of them are the same. */
  #take(session: Session): void {
    if (session.last === undefined) return;
    const { scope, ids, keeps } = session.last;
    const blocks = this.#blocks.newSequence(scope, ids, keeps);
    blocks.adopt(blocks.lookup());
    this.#drop(session);
    session.held = blocks;
  }

  #drop(session: Session): void {
    session.held?.release();
    session.held = undefined;
  }

  #use(name: string): Session {
    const session = this.#sessions.get(name) ?? { untilMs: Number.NEGATIVE_INFINITY };
    this.#sessions.delete(name);
    this.#sessions.set(name, session);
    if (this.#sessions.size > MAX_SESSIONS) this.#forget();
    return session;
  }

  #forget(): void {
    for (const [name, { held }] of this.#sessions)
      if (held === undefined) {
        this.#sessions.delete(name);
        return;
      }
  }
}
