// Models whose loading and answering a test holds in its hands, in one set.

import type { HostedEngine } from "../../../runtime/engine-api.ts";
import { WeftError } from "../../../runtime/errors.ts";
import { ModelSet, type SetMember } from "../../../runtime/model-set/model-set.ts";

export class ScriptedModel {
  readonly name: string;
  readonly bytes: number;
  numLoads = 0;
  numCloses = 0;
  /** Resolves each load; on its own by default. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;
  /** What answers wait for before they end. */
  speech: Promise<void> = Promise.resolve();
  speechFailure: Error | undefined;
  isLoaded = false;

  constructor(name: string, bytes: number) {
    this.name = name;
    this.bytes = bytes;
  }

  readonly load: SetMember["load"] = async ({ signal, reserve }) => {
    await reserve(this.bytes);
    await Promise.race([
      this.gate,
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new WeftError("aborted", "aborted")));
      }),
    ]);
    if (this.failure) throw this.failure;
    this.numLoads += 1;
    this.isLoaded = true;
    return this.#engine();
  };

  #engine(): HostedEngine {
    let numAnswers = 0;
    const speak = () => {
      numAnswers += 1;
      return this.#speak();
    };
    const engine = {
      info: { model: { id: this.name, createdMs: 1000 }, maxContext: 64 },
      chat: { completions: { create: async () => speak() } },
      completions: { create: async () => speak() },
      metrics: async () => ({ uptimeMs: 1, total: { requests: numAnswers } }),
      gauges: async () => ({ waiting: 0, running: 1, plansInFlight: 0, kv: [], queueMs: {} }),
      onMove: () => () => {},
      pace: { report() {}, leave() {} },
      hold() {},
      release() {},
      close: async () => {
        await Promise.resolve();
        this.isLoaded = false;
        this.numCloses += 1;
        numAnswers = 0;
      },
    };
    return engine as unknown as HostedEngine;
  }

  async *#speak() {
    const chunk = (content: string, finish_reason: string | null) => ({
      ...{ id: "c", object: "chat.completion.chunk", created: 1, model: this.name },
      choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason }],
    });
    yield chunk(this.name, null);
    await this.speech;
    if (this.speechFailure) throw this.speechFailure;
    yield chunk("", "stop");
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    yield { ...chunk("", null), choices: [], usage };
  }
}

export function openSet(
  models: readonly ScriptedModel[],
  budgetBytes: number,
  pinned: readonly string[] = [],
): Promise<ModelSet> {
  const members = models.map(({ name, load }) => {
    return [name, { load, isPinned: pinned.includes(name) }] as const;
  });
  return ModelSet.open(new Map(members), budgetBytes);
}

/** A promise, and what resolves it. */
export function gate() {
  let open = () => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
