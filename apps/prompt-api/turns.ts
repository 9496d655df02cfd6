/** The turns of a session: one after the other, each ended by its own signal or with the session. */
import { destroyedError, domErrorOf } from "./dom-errors.ts";

export class Turns {
  readonly #ending = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  /** @returns Whether this is the first end. */
  end(reason: unknown): boolean {
    if (this.#ending.signal.aborted) return false;
    this.#ending.abort(reason);
    return true;
  }

  /** One after the other, as they were asked. */
  take<T>(given: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => this.beside(given, run));
    this.#last = result.catch(() => {});
    return result;
  }

  /** Beside whatever is under way. */
  async beside<T>(
    given: AbortSignal | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#ending.signal.aborted) throw destroyedError();
    given?.throwIfAborted();
    const abort = new AbortController();
    const stops = [given, this.#ending.signal].filter((signal) => signal !== undefined);
    const stop = () => abort.abort(stops.find(({ aborted }) => aborted)?.reason);
    for (const signal of stops) signal.addEventListener("abort", stop, { once: true });
    try {
      const value = await run(abort.signal);
      abort.signal.throwIfAborted();
      return value;
    } catch (error) {
      throw domErrorOf(error, abort.signal);
    } finally {
      for (const signal of stops) signal.removeEventListener("abort", stop);
    }
  }
}
