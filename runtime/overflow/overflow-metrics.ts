/** What went where, and why. Plain data; counters since the engine was created. */

/** Why a request went to the cluster. */
export type OverflowReason =
  /** The predicted wait here was too long. */
  | "queue"
  /** It would have missed the request's deadline here. */
  | "deadline"
  /** It is longer than this engine's context. */
  | "context"
  /** Its model is not here. */
  | "model"
  /** This engine has ended, or its device is gone. */
  | "lost";

export interface OverflowMetrics {
  /** Requests by where they were first sent; those in flight included. */
  readonly local: number;
  readonly cluster: number;
  /** Of those that went to the cluster, first or later. */
  readonly reasons: Readonly<Record<OverflowReason, number>>;
  /** Begun at one place and asked again at the other, before anything was said. */
  readonly movedToLocal: number;
  readonly movedToCluster: number;
  /** Broken off in mid-answer, and gone on with at the other place. */
  readonly continued: number;
  /** Broken off in mid-answer for good. */
  readonly broken: number;
  /** Meant for the cluster, and kept here because it does not answer. */
  readonly kept: number;
  readonly clusterState: {
    readonly state: "closed" | "open" | "probe";
    /** One after another, until it answers. */
    readonly failures: number;
    /** Until it is probed. */
    readonly waitMs: number;
    /** Of its first chunks, a running mean. */
    readonly firstChunkMs?: number;
    /** Why it failed the last time. */
    readonly lastFailure?: string;
  };
}

type Counter =
  | "local"
  | "cluster"
  | "movedToLocal"
  | "movedToCluster"
  | "continued"
  | "broken"
  | "kept";

const SHARE_OF_NEWEST = 0.2;

export class OverflowCounts {
  readonly #counts: Record<Counter, number> = {
    ...{ local: 0, cluster: 0, movedToLocal: 0, movedToCluster: 0 },
    ...{ continued: 0, broken: 0, kept: 0 },
  };
  readonly #reasons: Record<OverflowReason, number> = {
    ...{ queue: 0, deadline: 0, context: 0, model: 0, lost: 0 },
  };
  #firstChunkMs: number | undefined;
  #lastFailure: string | undefined;

  count(counter: Counter): void {
    this.#counts[counter] += 1;
  }

  reason(reason: OverflowReason): void {
    this.#reasons[reason] += 1;
  }

  firstChunk(ms: number): void {
    this.#firstChunkMs ??= ms;
    this.#firstChunkMs += SHARE_OF_NEWEST * (ms - this.#firstChunkMs);
  }

  failure(message: string): void {
    this.#lastFailure = message;
  }

  snapshot(circuit: Pick<OverflowMetrics["clusterState"], "state" | "failures" | "waitMs">) {
    const { state, failures, waitMs } = circuit;
    const clusterState = {
      ...{ state, failures, waitMs },
      ...(this.#firstChunkMs !== undefined && { firstChunkMs: this.#firstChunkMs }),
      ...(this.#lastFailure !== undefined && { lastFailure: this.#lastFailure }),
    };
    return {
      ...this.#counts,
      reasons: { ...this.#reasons },
      clusterState,
    } satisfies OverflowMetrics;
  }
}
