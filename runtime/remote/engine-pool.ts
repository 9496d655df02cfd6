/**
 * The engines of one host: users that ask for the same share one, which is closed when the last of them
 * has left. So a model is loaded once for all tabs of a SharedWorker.
 */

import { onAbort } from "../abort-listeners.ts";
import type { HostedEngine } from "../engine-api.ts";
import { abortError, throwIfAborted } from "../errors.ts";
import type { LoadProgress } from "../weights/stream.ts";
import type { OpenHosted } from "./open-hosted.ts";
import { type AnyRemoteOptions, optionsKey } from "./remote-options.ts";

interface PooledEngine {
  readonly engine: Promise<HostedEngine>;
  readonly loading: AbortController;
  readonly listeners: Set<(progress: LoadProgress) => void>;
  lastProgress: LoadProgress | undefined;
  numUsers: number;
}

export interface Lease {
  readonly engine: HostedEngine;
  /** Closes the engine if nobody else uses it. */
  release(): Promise<void>;
}

export class EnginePool {
  readonly #open: OpenHosted;
  readonly #engines = new Map<string, PooledEngine>();

  constructor(open: OpenHosted) {
    this.#open = open;
  }

  /**
   * @param signal Its user does not want it any more; loading goes on as long as another does.
   * @throws {WeftError} of every kind that loading can; `aborted`.
   */
  async acquire(
    options: AnyRemoteOptions,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<Lease> {
    const key = optionsKey(options);
    const pooled = this.#engines.get(key) ?? this.#load(key, options);
    pooled.numUsers += 1;
    let isReleased = false;
    const release = async () => {
      if (isReleased) return;
      isReleased = true;
      await this.#release(key, pooled);
    };
    pooled.listeners.add(onProgress);
    if (pooled.lastProgress) onProgress(pooled.lastProgress);
    let ignoreSignal = () => {};
    const aborted = new Promise<never>((_, reject) => {
      ignoreSignal = onAbort(signal, () => reject(abortError(signal.reason)));
    });
    try {
      throwIfAborted(signal);
      return { engine: await Promise.race([pooled.engine, aborted]), release };
    } catch (error) {
      void release();
      throw error;
    } finally {
      ignoreSignal();
      pooled.listeners.delete(onProgress);
    }
  }

  #load(key: string, options: AnyRemoteOptions): PooledEngine {
    const loading = new AbortController();
    const listeners = new Set<(progress: LoadProgress) => void>();
    const onProgress = (progress: LoadProgress) => {
      pooled.lastProgress = progress;
      for (const listener of listeners) listener(progress);
    };
    const engine = this.#open(options, { signal: loading.signal, onProgress });
    const pooled: PooledEngine = {
      ...{ engine, loading, listeners, numUsers: 0 },
      lastProgress: undefined,
    };
    this.#engines.set(key, pooled);
    // Who comes after a failure tries anew; and its last user may have left.
    engine.catch(() => this.#forget(key, pooled));
    return pooled;
  }

  async #release(key: string, pooled: PooledEngine): Promise<void> {
    pooled.numUsers -= 1;
    if (pooled.numUsers > 0) return;
    this.#forget(key, pooled);
    pooled.loading.abort();
    const engine = await pooled.engine.catch(() => undefined);
    await engine?.close();
  }

  /** Whoever asks from now on gets another. */
  #forget(key: string, pooled: PooledEngine): void {
    if (this.#engines.get(key) === pooled) this.#engines.delete(key);
  }
}
