/**
 * What a server is at any moment, whatever brings its requests: loading, ready, draining; who is let in, and
 * what is under way. Owns the ends of requests; the routes are routes.ts's.
 */
import { type EngineApi, WeftError } from "../../worker.ts";
import { ApiError, apiError } from "./api-error.ts";
import { ApiKeys } from "./api-keys.ts";
import { type Caller, clientOf } from "./caller.ts";
import { Doorkeeper } from "./doorkeeper.ts";
import { EngineFigures } from "./engine-figures.ts";
import { Gate } from "./gate.ts";
import { Lifetime } from "./lifetime.ts";
import { ServerCounters } from "./server-counters.ts";
import { type HandlerOptions, type HandlerSettings, handlerSettings } from "./server-options.ts";

export type ServiceState = "loading" | "ready" | "draining" | "failed";

export class Service {
  readonly settings: HandlerSettings;
  readonly keys: ApiKeys;
  readonly doorkeeper: Doorkeeper;
  readonly counters = new ServerCounters();
  readonly gate: Gate;
  readonly #lifetimes = new Set<Lifetime>();
  #engine: EngineApi | undefined;
  #figures: EngineFigures | undefined;
  #loadError: WeftError | undefined;
  #state: ServiceState = "loading";
  #onIdle: (() => void) | undefined;

  /** @param engine May still be loading. @throws {WeftError} `bad_config`. */
  constructor(engine: EngineApi | Promise<EngineApi>, options?: HandlerOptions) {
    this.settings = handlerSettings(options);
    const { apiKeys, maxConcurrent } = this.settings;
    this.keys = new ApiKeys(apiKeys);
    this.doorkeeper = new Doorkeeper(this.settings);
    this.gate = new Gate({
      maxConcurrent,
      // One key's callers leave half to the others.
      maxPerClient: apiKeys.length > 1 ? Math.ceil(maxConcurrent / 2) : maxConcurrent,
      waitS: () => this.#figures?.waitS ?? 1,
    });
    if (engine instanceof Promise) {
      engine.then(
        (ready) => this.#isReady(ready),
        (error) => {
          this.#state = "failed";
          this.#loadError = WeftError.from(error);
        },
      );
    } else this.#isReady(engine);
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** @throws {ApiError} 503 where it takes no requests yet, or no more; {WeftError} of an engine that never came. */
  get engine(): EngineApi {
    if (this.#state === "ready" && this.#engine) return this.#engine;
    if (this.#state === "failed" && this.#loadError) throw this.#loadError;
    const [what, cure] =
      this.#state === "loading"
        ? ["the model is loading", "ask again soon"]
        : ["the server is being shut down", "ask again when it is back"];
    throw new ApiError(503, `${what}; ${cure}`, {
      code: this.#state,
      headers: { "retry-after": "2", connection: "close" },
    });
  }

  /** None before the model is loaded. */
  get figures(): EngineFigures | undefined {
    return this.#figures;
  }

  /**
   * Lets a request in.
   * @param signal Aborted when the caller has gone.
   * @throws {ApiError} 429, 503.
   */
  begin(caller: Caller, answers: number, signal: AbortSignal): Lifetime {
    const release = this.gate.enter(clientOf(caller), answers);
    const lifetime = new Lifetime(signal, this.settings.requestTimeoutMs);
    this.#lifetimes.add(lifetime);
    lifetime.atEnd(() => {
      release();
      this.#lifetimes.delete(lifetime);
      const { reason } = lifetime.signal;
      if (reason instanceof ApiError) this.counters.abort(reason.code);
      if (this.#lifetimes.size === 0) this.#onIdle?.();
    });
    return lifetime;
  }

  /** What a caller is told of an error; of faults, whoever runs the server hears the cause. */
  toldOf(error: unknown, about: { requestId: string; route: string; body?: object }): ApiError {
    const told = apiError(error, about.requestId, about.body);
    this.counters.error(told.code);
    if (told.status >= 500 && !(error instanceof ApiError)) {
      const { requestId, route } = about;
      this.settings.onFault?.({ requestId, route, error: WeftError.from(error) });
    }
    return told;
  }

  /** From now on no request is taken. @returns When those under way have ended. */
  drain(): Promise<void> {
    this.#state = "draining";
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#lifetimes.size === 0) resolve();
    });
  }

  /** Ends what is under way; callers are told. @returns How many it was. */
  abortAll(): number {
    const all = [...this.#lifetimes];
    for (const lifetime of all) {
      lifetime.abort(
        new ApiError(503, "the server was shut down in mid-answer; ask again when it is back", {
          code: "shutdown",
        }),
      );
    }
    return all.length;
  }

  #isReady(engine: EngineApi): void {
    this.#engine = engine;
    this.#figures = new EngineFigures(engine);
    if (this.#state === "loading") this.#state = "ready";
  }
}
