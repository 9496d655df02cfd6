// The public door through a MessageChannel: every request, chunk, result and error crosses by
// structured clone, and an AbortSignal becomes a message. What passes here can live in a worker.

import { onAbort } from "../../runtime/abort-listeners.ts";
import type { ChatApi, ChatCompletionRequest } from "../../runtime/chat.ts";
import { reasonOf, WeftError, type WeftErrorData } from "../../runtime/errors.ts";
import type { CallOptions, GenerateChunk, GenerateRequest } from "../../runtime/request.ts";
import type { EngineDoor } from "./subject.ts";

type Operation =
  | { readonly op: "generate"; readonly request: GenerateRequest }
  | { readonly op: "create"; readonly request: ChatCompletionRequest }
  | { readonly op: "next" | "return" | "close" };

/** `call` names one request of the caller, `turn` one exchange within it. */
type ToEngine =
  | (Operation & { readonly call: number; readonly turn: number })
  | { readonly op: "abort"; readonly call: number; readonly reason: string };

type FromEngine =
  | { readonly turn: number; readonly value: unknown }
  | { readonly turn: number; readonly error: WeftErrorData };

/** @returns A door at the far end; closing it closes the engine and the channel. */
export function throughChannel(engine: EngineDoor): EngineDoor {
  const { port1, port2 } = new MessageChannel();
  serve(engine, port2);
  return new FarDoor(port1);
}

function serve(engine: EngineDoor, port: MessagePort): void {
  const controllers = new Map<number, AbortController>();
  const streams = new Map<number, AsyncIterator<unknown>>();
  const controllerOf = (call: number) => {
    const controller = controllers.get(call) ?? new AbortController();
    controllers.set(call, controller);
    return controller;
  };

  async function run(message: Operation & { call: number }): Promise<unknown> {
    const { call } = message;
    const { signal } = controllerOf(call);
    switch (message.op) {
      case "generate":
        streams.set(call, engine.generate(message.request, { signal })[Symbol.asyncIterator]());
        return null;
      case "create": {
        const answer: unknown = await engine.chat.completions.create(message.request, { signal });
        if (!isStream(answer)) return answer;
        streams.set(call, answer[Symbol.asyncIterator]());
        return null;
      }
      case "next":
        return streams.get(call)!.next();
      case "return":
        return streams.get(call)!.return?.();
      case "close":
        return engine.close();
    }
  }

  port.onmessage = ({ data }: MessageEvent<ToEngine>) => {
    if (data.op === "abort") {
      controllerOf(data.call).abort(data.reason);
      return;
    }
    const { turn } = data;
    run(data).then(
      (value) => port.postMessage({ turn, value } satisfies FromEngine),
      (error) => {
        const plain = WeftError.from(error).toJSON();
        port.postMessage({ turn, error: plain } satisfies FromEngine);
      },
    );
  };
}

class FarDoor implements EngineDoor {
  readonly chat: ChatApi;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (answer: FromEngine) => void>();
  #nextCall = 1;
  #nextTurn = 1;

  constructor(port: MessagePort) {
    this.#port = port;
    port.onmessage = ({ data }: MessageEvent<FromEngine>) => {
      this.#waiting.get(data.turn)?.(data);
      this.#waiting.delete(data.turn);
    };
    const create = (request: ChatCompletionRequest, options?: CallOptions) =>
      this.#create(request, options);
    this.chat = { completions: { create: create as ChatApi["completions"]["create"] } };
  }

  async *generate(
    request: GenerateRequest,
    options?: CallOptions,
  ): AsyncGenerator<GenerateChunk, void, undefined> {
    const call = this.#open(options);
    await this.#turn(call, { op: "generate", request });
    yield* this.#chunks<GenerateChunk>(call);
  }

  async close(): Promise<void> {
    await this.#turn(this.#open(), { op: "close" });
    // Later requests are refused by the engine, so the port lives on but holds no process.
    (this.#port as { unref?: () => void }).unref?.();
  }

  async #create(request: ChatCompletionRequest, options?: CallOptions): Promise<unknown> {
    const call = this.#open(options);
    const answer = await this.#turn(call, { op: "create", request });
    return request?.stream ? this.#chunks(call) : answer;
  }

  #open({ signal }: CallOptions = {}): number {
    const call = this.#nextCall++;
    const abort = () => this.#post({ op: "abort", call, reason: reasonOf(signal?.reason) });
    if (signal?.aborted) abort();
    else onAbort(signal, abort);
    return call;
  }

  async *#chunks<T>(call: number): AsyncGenerator<T, void, undefined> {
    let ended = false;
    try {
      while (true) {
        const next = (await this.#turn(call, { op: "next" })) as IteratorResult<T, void>;
        ended = next.done === true;
        if (next.done) return;
        yield next.value;
      }
    } finally {
      if (!ended) await this.#turn(call, { op: "return" });
    }
  }

  #turn(call: number, operation: Operation): Promise<unknown> {
    const turn = this.#nextTurn++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(turn, (answer) => {
        if ("error" in answer) reject(WeftError.fromJSON(answer.error));
        else resolve(answer.value);
      });
      this.#post({ ...operation, call, turn });
    });
  }

  #post(message: ToEngine): void {
    this.#port.postMessage(message);
  }
}

const isStream = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value;
