/** One worker that serves constraints, from the other side: calls and replies, each with a time limit. */
import { WeftError } from "../errors.ts";
import type { Port } from "../remote/port.ts";
import type { Answered } from "./live-constraint.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

type Request = Extract<ToWorker, { call: number }>;
type Asked<T extends Request["type"]> = Omit<Extract<Request, { type: T }>, "type" | "call">;

interface Pending {
  readonly id: number;
  readonly resolve: (reply: FromWorker) => void;
  readonly reject: (error: WeftError) => void;
}

export class ConstraintWorker {
  /** Why nothing can be asked any more, and which constraint took too long. */
  lost: { readonly reason: string; readonly slowId?: number } | undefined;
  readonly #port: Port;
  readonly #limitMs: number;
  /** In the order in which they are worked on. */
  readonly #pending = new Map<number, Pending>();
  #numCalls = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(port: Port, vocabulary: TokenVocabulary, limitMs: number) {
    this.#port = port;
    this.#limitMs = limitMs;
    port.listen((message) => this.#receive(message as FromWorker));
    void port.gone.then((reason) => this.end(reason));
    port.post({ type: "vocabulary", vocabulary } satisfies ToWorker);
  }

  async open(asked: Asked<"open">): Promise<void> {
    await this.#call({ type: "open", ...asked });
  }

  async advance(asked: Asked<"advance">): Promise<Answered> {
    const reply = await this.#call({ type: "advance", ...asked });
    return (reply as Extract<FromWorker, { type: "reply" }>).answer!;
  }

  /** @returns what is wrong. */
  async validate(asked: Asked<"validate">): Promise<string | undefined> {
    const reply = await this.#call({ type: "validate", ...asked });
    return (reply as Extract<FromWorker, { type: "validated" }>).problem;
  }

  close(id: number): void {
    this.#port.post({ type: "close", id } satisfies ToWorker);
  }

  /** @param slowId The constraint at fault. */
  end(reason: string, slowId?: number): void {
    if (this.lost) return;
    this.lost = { reason, slowId };
    clearTimeout(this.#timer);
    this.#port.close();
    const error = new WeftError(
      "worker_failed",
      `the worker that knows the grammars of answers is lost: ${reason}; ask again`,
    );
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #call(asked: Omit<Request, "call"> & { id: number }): Promise<FromWorker> {
    const call = ++this.#numCalls;
    return new Promise((resolve, reject) => {
      this.#pending.set(call, { id: asked.id, resolve, reject });
      if (this.#pending.size === 1) this.#watch();
      this.#port.post({ ...asked, call });
    });
  }

  #receive(message: FromWorker): void {
    const pending = this.#pending.get(message.call);
    this.#pending.delete(message.call);
    clearTimeout(this.#timer);
    this.#watch();
    if (message.type === "failed") pending?.reject(WeftError.fromJSON(message.error));
    else pending?.resolve(message);
  }

  /** The first of those that wait is being worked on: it alone is timed. */
  #watch(): void {
    const [first] = this.#pending.values();
    if (!first) return;
    const limitMs = this.#limitMs;
    this.#timer = setTimeout(() => this.end(`it took more than ${limitMs} ms`, first.id), limitMs);
  }
}
