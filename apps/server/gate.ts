/**
 * How many answers are under way at once, waiting ones included, in all and for each client. What is too much
 * is refused at once with a time to come again; nothing waits here, as the engine's scheduler orders those
 * that wait.
 */
import { ApiError } from "./api-error.ts";

export interface GateOptions {
  readonly maxConcurrent: number;
  /** For one client. */
  readonly maxPerClient: number;
  /** Seconds until who is refused now may be served. */
  readonly waitS: () => number;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #clients = new Map<string, number>();
  #inFlight = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * @param answers That the request asks for.
   * @returns Call it once, when they are done.
   * @throws {ApiError} 429; 400 where it could never be let in.
   */
  enter(client: string, answers: number): () => void {
    const { maxConcurrent, maxPerClient } = this.#options;
    if (answers > maxPerClient) {
      throw new ApiError(
        400,
        `the request asks for ${answers} answers at once, this server gives ${maxPerClient}; ask for fewer`,
        { code: "too_many_answers", param: "n" },
      );
    }
    const own = (this.#clients.get(client) ?? 0) + answers;
    const all = this.#inFlight + answers;
    if (all > maxConcurrent || own > maxPerClient) throw this.#busy(all > maxConcurrent);
    this.#inFlight = all;
    this.#clients.set(client, own);
    return () => {
      this.#inFlight -= answers;
      const left = this.#clients.get(client)! - answers;
      if (left > 0) this.#clients.set(client, left);
      else this.#clients.delete(client);
    };
  }

  #busy(byAll: boolean): ApiError {
    const seconds = Math.max(1, Math.ceil(this.#options.waitS()));
    const who = byAll ? "the server has" : "this client has";
    return new ApiError(
      429,
      `${who} as many answers under way as it may; ask again in ${seconds} s`,
      {
        code: "rate_limit_exceeded",
        headers: { "retry-after": `${seconds}` },
      },
    );
  }
}
