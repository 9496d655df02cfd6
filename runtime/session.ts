/** Requests that follow one another: a conversation, an agent's steps. */
import { WeftError } from "./errors.ts";
import type { StepLoop } from "./step-loop.ts";

export interface Session {
  /** Give it to each request as `session`. */
  readonly id: string;
  /**
   * Keep the keys and values of its latest request for so many milliseconds, or until its next one
   * starts: while a tool runs, say. They give way when nobody else could run; the answer is the same
   * then, and its prompt is computed again.
   * @throws {WeftError} `bad_request` for a time that is not above 0.
   */
  hold(ms: number): Promise<void>;
  release(): Promise<void>;
}

export function openSession(loop: StepLoop): Session {
  const id = crypto.randomUUID();
  return {
    id,
    async hold(ms) {
      try {
        loop.hold(id, ms);
      } catch (error) {
        throw WeftError.from(error);
      }
    },
    release: async () => loop.release(id),
  };
}
