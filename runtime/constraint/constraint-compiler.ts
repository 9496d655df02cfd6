/**
 * Constraints of one tokenizer, worked out in a worker that is started with the first of them. Owns the worker: one
 * that takes too long, fails or is lost is ended, another is started, and every constraint goes on there from the
 * tokens that it was told. Refuses nothing itself: what a spec may say is the worker's to judge.
 */
import { abortError, throwIfAborted, WeftError } from "../errors.ts";
import type { Port } from "../remote/port.ts";
import type { Allowed, ConstraintSpec, TokenConstraint } from "./constraint.ts";
import { ConstraintWorker } from "./constraint-worker-client.ts";
import { type ForcedTokenizer, ForcedTokens } from "./forced-tokens.ts";
import { packVocabulary, type TokenSource, type TokenVocabulary } from "./vocabulary.ts";

/** Compiling takes some milliseconds, a mask less; one that takes this long would not be done in ten times that. */
const TIME_LIMIT_MS = 5_000;
/** A worker that is lost so often in a row is not worth starting again. */
const MAX_LOSSES = 3;

export interface ConstraintTokenizer extends TokenSource, ForcedTokenizer {}

export interface ConstraintCompilerOptions {
  readonly tokenizer: ConstraintTokenizer;
  /** Of the model: may be more than the tokenizer's. */
  readonly vocabSize: number;
  /** Starts a worker that serves constraints. */
  readonly dial: () => Port | Promise<Port>;
  readonly timeLimitMs?: number;
}

interface Live {
  readonly spec: ConstraintSpec;
  readonly said: number[];
  /** Of calls, which are answered in order. */
  last: Promise<unknown>;
  /** Worker that has it. */
  worker: ConstraintWorker | undefined;
}

export class ConstraintCompiler {
  readonly #options: ConstraintCompilerOptions;
  readonly #timeLimitMs: number;
  readonly #forced: ForcedTokens;
  readonly #live = new Map<number, Live>();
  #vocabulary: TokenVocabulary | undefined;
  #worker: Promise<ConstraintWorker> | undefined;
  #numMade = 0;
  #isClosed = false;

  constructor(options: ConstraintCompilerOptions) {
    this.#options = options;
    this.#forced = new ForcedTokens(options.tokenizer);
    this.#timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
  }

  /** @throws {WeftError} `bad_request` that says what cannot be enforced; `aborted`, `worker_failed`. */
  async compile(spec: ConstraintSpec, signal?: AbortSignal): Promise<TokenConstraint> {
    throwIfAborted(signal);
    const id = ++this.#numMade;
    const live: Live = { spec, said: [], last: Promise.resolve(), worker: undefined };
    const opened = this.#withWorker(live, id, async () => {});
    this.#live.set(id, live);
    live.last = opened.catch(() => {});
    try {
      await raced(opened, signal);
    } catch (error) {
      this.#close(id);
      throw error;
    }
    return {
      advance: (tokens, remaining, drafts = []) => this.#advance(id, tokens, remaining, drafts),
      close: () => this.#close(id),
    };
  }

  /**
   * Whether the text, of a constraint `json_schema`, fits its schema: by another's validator.
   * @returns what is wrong; undefined where it fits, and where that cannot be told: the validator may not make
   *   functions here, or took too long.
   */
  async validate(schema: object | boolean, text: string): Promise<string | undefined> {
    const id = ++this.#numMade;
    const worker = await this.#start();
    try {
      return await worker.validate({ id, schema, text });
    } catch (error) {
      if (worker.lost) return undefined;
      throw error;
    }
  }

  /** Ends the worker; whatever is asked later fails. */
  close(): void {
    this.#isClosed = true;
    void this.#worker?.then((worker) => worker.end("the engine was closed")).catch(() => {});
    this.#live.clear();
  }

  #advance(
    id: number,
    tokens: readonly number[],
    remaining: number,
    drafts: readonly number[],
  ): Promise<Allowed> {
    const live = this.#live.get(id);
    if (!live) throw new WeftError("internal", "a constraint was asked after it was closed");
    const answer = live.last.then(() =>
      this.#withWorker(live, id, async (worker) => {
        const answered = await worker.advance({ id, tokens, remaining, drafts });
        live.said.push(...tokens);
        const { forcedBytes, ...rest } = answered;
        return { ...rest, forced: this.#forced.of(forcedBytes, answered.masks[0]) };
      }),
    );
    live.last = answer.catch(() => {});
    return answer;
  }

  /** Asks the worker that there is, which is told first of a constraint that it does not have; again if it is lost. */
  async #withWorker<T>(
    live: Live,
    id: number,
    ask: (worker: ConstraintWorker) => Promise<T>,
  ): Promise<T> {
    for (let numLosses = 0; ; ) {
      if (this.#isClosed) throw new WeftError("engine_closed", "the engine was closed");
      const worker = await this.#start();
      try {
        if (live.worker !== worker) {
          await worker.open({ id, spec: live.spec, said: live.said });
          live.worker = worker;
        }
        return await ask(worker);
      } catch (error) {
        if (!worker.lost) throw error;
        // Who took too long is not asked again: it would stall the others once more.
        if (worker.lost.slowId === id) throw tooLong(this.#timeLimitMs);
        if (++numLosses >= MAX_LOSSES) throw error;
      }
    }
  }

  async #start(): Promise<ConstraintWorker> {
    const known = this.#worker;
    const current = await known;
    if (current && !current.lost) return current;
    // Others that waited may have started one meanwhile.
    if (this.#worker !== known) return this.#start();
    const { tokenizer, vocabSize, dial } = this.#options;
    this.#vocabulary ??= packVocabulary(tokenizer, vocabSize);
    const vocabulary = this.#vocabulary;
    const started = Promise.resolve()
      .then(dial)
      .then((port) => new ConstraintWorker(port, vocabulary, this.#timeLimitMs));
    this.#worker = started;
    try {
      return await started;
    } catch (error) {
      this.#worker = undefined;
      throw WeftError.from(error);
    }
  }

  #close(id: number): void {
    const live = this.#live.get(id);
    this.#live.delete(id);
    if (live?.worker && !live.worker.lost) live.worker.close(id);
  }
}

const tooLong = (limitMs: number) =>
  new WeftError(
    "bad_request",
    `the constraint took more than ${limitMs} ms to be worked out; make the schema, the regular expression ` +
      "or the grammar smaller or less ambiguous",
  );

function raced<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
