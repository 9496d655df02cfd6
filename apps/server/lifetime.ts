/**
 * One request from its admission to its end, however it ends: answered, left by its caller, too slow, or
 * stopped with the server. Its end gives back what it holds, once.
 */
import { ApiError } from "./api-error.ts";

export class Lifetime {
  readonly #controller = new AbortController();
  readonly #atEnd: (() => void)[] = [];
  #isEnded = false;

  /** @param caller Aborted when the caller has gone. */
  constructor(caller: AbortSignal, timeoutMs: number) {
    const leave = () => this.abort(new ApiError(499, "the caller has gone", { code: "aborted" }));
    caller.addEventListener("abort", leave);
    const timer = setTimeout(() => this.abort(late(timeoutMs)), timeoutMs);
    this.#atEnd.push(() => {
      caller.removeEventListener("abort", leave);
      clearTimeout(timer);
    });
    if (caller.aborted) leave();
  }

  /** For the engine; its reason is what the caller is told. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** @param release Called at once where it has ended already. */
  atEnd(release: () => void): void {
    if (this.#isEnded) release();
    else this.#atEnd.push(release);
  }

  abort(reason: ApiError): void {
    if (this.#isEnded) return;
    this.#controller.abort(reason);
    this.end();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const release of this.#atEnd) release();
  }
}

const late = (timeoutMs: number): ApiError =>
  new ApiError(504, `the answer took more than ${timeoutMs} ms; ask for fewer tokens`, {
    code: "timeout",
    headers: { "x-should-retry": "false" },
  });
