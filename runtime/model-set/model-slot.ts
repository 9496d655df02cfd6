/**
 * One model of several: loaded when it is first asked for, kept while somebody uses it, gone when another
 * needs its memory. Owns its state and who uses it; what may be loaded is the room's decision.
 */
import { onAbort } from "../abort-listeners.ts";
import type { EngineInfo, HostedEngine } from "../engine-api.ts";
import { abortError, WeftError } from "../errors.ts";
import type { ModelState } from "../openai/models.ts";
import type { MemoryRoom, Tenant } from "./memory-room.ts";
import { ModelFigures } from "./model-figures.ts";

export interface LoadHow {
  readonly signal: AbortSignal;
  /** Resolves when there is room for the bytes, which are then the model's. */
  reserve(bytes: number): Promise<void>;
  /** Most bytes that it may ever have. */
  readonly mostBytes: number;
}

export type LoadModel = (how: LoadHow) => Promise<HostedEngine>;

export class ModelSlot implements Tenant {
  readonly name: string;
  readonly isPinned: boolean;
  readonly figures = new ModelFigures();
  readonly #load: LoadModel;
  readonly #room: MemoryRoom;
  readonly #now: () => number;
  readonly #onReady: (engine: HostedEngine) => void;
  #engine: HostedEngine | undefined;
  #loading: { readonly engine: Promise<HostedEngine>; readonly abort: AbortController } | undefined;
  /** While it leaves: resolves when it is gone. */
  #gone: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #info: EngineInfo | undefined;
  #numUsers = 0;
  #numWaiting = 0;
  /** Of those, whom it is lent to as soon as it is there, though it may have to leave by then. */
  #numPromised = 0;
  #isClosed = false;
  lastUsed = 0;
  bytes = 0;
  numLoads = 0;
  numEvictions = 0;
  /** Of the latest load, what was before it included: downloads, and waiting for room. */
  loadMs: number | undefined;

  constructor(
    { name, isPinned }: Pick<Tenant, "name" | "isPinned">,
    load: LoadModel,
    room: MemoryRoom,
    { now, onReady }: { now: () => number; onReady: (engine: HostedEngine) => void },
  ) {
    this.name = name;
    this.isPinned = isPinned;
    this.#load = load;
    this.#room = room;
    this.#now = now;
    this.#onReady = onReady;
  }

  get state(): ModelState {
    if (this.#gone) return "leaving";
    if (this.#engine) return "ready";
    return this.#loading ? "loading" : "unloaded";
  }

  get isIdle(): boolean {
    return this.#engine !== undefined && this.#numUsers === 0 && this.#numPromised === 0;
  }

  get numWaiting(): number {
    return this.#numWaiting;
  }

  get numUsers(): number {
    return this.#numUsers;
  }

  /** While it is loaded. */
  get engine(): HostedEngine | undefined {
    return this.#engine;
  }

  /** As of its latest load. */
  get info(): EngineInfo | undefined {
    return this.#engine?.info ?? this.#info;
  }

  /**
   * Lends the engine until `release`, having loaded it if need be.
   * @throws {WeftError} of every kind that loading can; `aborted`, `engine_closed`.
   */
  async acquire(signal?: AbortSignal): Promise<HostedEngine> {
    this.#numWaiting += 1;
    try {
      for (;;) {
        this.#throwIfClosed();
        if (signal?.aborted) throw abortError(signal.reason);
        if (this.#gone) await untilAborted(this.#gone.promise, signal);
        else if (this.#engine) return this.#lend(this.#engine);
        else if (this.#loading?.abort.signal.aborted) await this.#loading.engine.catch(() => {});
        else return await this.#awaitLoad(signal);
      }
    } finally {
      this.#numWaiting -= 1;
      this.#loseInterest();
    }
  }

  /** What is there will not go before those are done who have waited for it. */
  async #awaitLoad(signal: AbortSignal | undefined): Promise<HostedEngine> {
    this.#numPromised += 1;
    try {
      return this.#lend(await untilAborted(this.#loaded(), signal));
    } finally {
      this.#numPromised -= 1;
    }
  }

  #lend(engine: HostedEngine): HostedEngine {
    this.#numUsers += 1;
    this.lastUsed = this.#now();
    return engine;
  }

  release(): void {
    this.#numUsers -= 1;
    this.lastUsed = this.#now();
    this.#room.settle();
  }

  /** Its engine answers no more: whoever asks from now on gets another. */
  discard(engine: HostedEngine): void {
    if (this.#engine !== engine || this.#gone) return;
    this.leave();
    this.#room.discard(this);
  }

  leave(): void {
    if (this.#gone) return;
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    this.#gone = { promise, resolve };
  }

  async evict(): Promise<void> {
    const engine = this.#engine;
    this.#info = engine?.info ?? this.#info;
    this.#engine = undefined;
    this.numEvictions += 1;
    if (engine) await this.figures.end(engine);
    await engine?.close().catch(() => {});
    this.bytes = 0;
    this.#gone?.resolve();
    this.#gone = undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#loading?.abort.abort("the engine was closed");
    const loading = await this.#loading?.engine.catch(() => undefined);
    await (this.#engine ?? loading)?.close();
    this.#gone?.resolve();
  }

  #loaded(): Promise<HostedEngine> {
    this.#loading ??= this.#startLoading();
    return this.#loading.engine;
  }

  #startLoading() {
    const abort = new AbortController();
    const { signal } = abort;
    const startMs = this.#now();
    const reserve = async (bytes: number) => {
      await this.#room.reserve(this, bytes, signal);
      this.bytes = bytes;
    };
    const { mostBytes } = this.#room;
    const engine = Promise.resolve()
      .then(() => this.#load({ signal, reserve, mostBytes }))
      .then(
        (loaded) => {
          this.#loading = undefined;
          this.#engine = loaded;
          this.numLoads += 1;
          this.loadMs = this.#now() - startMs;
          this.lastUsed = this.#now();
          this.#onReady(loaded);
          return loaded;
        },
        (error) => {
          this.#loading = undefined;
          this.bytes = 0;
          this.#room.release(this);
          // Who has closed it knows why.
          this.#throwIfClosed();
          throw error;
        },
      );
    engine.catch(() => {});
    return { engine, abort };
  }

  /** Nobody waits any more for what is loading. */
  #loseInterest(): void {
    if (this.#numPromised > 0 || this.#numUsers > 0) return;
    if (this.#loading) this.#loading.abort.abort("nobody waits for the model any more");
    // Another that waits for memory may now have it.
    else this.#room.settle();
  }

  #throwIfClosed(): void {
    if (!this.#isClosed) return;
    throw new WeftError("engine_closed", "the engine was closed; create another to go on");
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let ignore = () => {};
  const aborted = new Promise<never>((_, reject) => {
    ignore = onAbort(signal, () => reject(abortError(signal.reason)));
  });
  return Promise.race([promise, aborted]).finally(() => ignore());
}
