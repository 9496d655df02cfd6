/**
 * Several models behind one engine's API, under one memory budget: a request says which, and each is there
 * while it is used. Owns what requests and users see of them; who is loaded is the room's decision.
 */
import type { KvMap } from "../../scheduler/index.ts";
import { PRIORITIES, type Priority } from "../../scheduler/priority.ts";
import type { EngineInfo, HostedEngine } from "../engine-api.ts";
import { WeftError, type WeftErrorCode } from "../errors.ts";
import type { EngineGauges, EngineMetrics, ModelMetrics } from "../metrics.ts";
import { type ChatApi, chatOver } from "../openai/chat.ts";
import { type CompletionsApi, completionsOver } from "../openai/completions.ts";
import type { EmbeddingRequest, EmbeddingResponse, EmbeddingsApi } from "../openai/embeddings.ts";
import { type Model, type ModelsApi, modelOf, modelsApi } from "../openai/models.ts";
import type { SharedRequest } from "../openai/shared-request.ts";
import type { PageState } from "../pacing/page-state.ts";
import { type CallOptions, checkSignal, type GenerateRequest, refuse } from "../request.ts";
import type { Session } from "../session.ts";
import type { Trace, TraceOptions } from "../trace.ts";
import { MemoryRoom } from "./memory-room.ts";
import { type LoadModel, ModelSlot } from "./model-slot.ts";

export interface SetMember {
  readonly load: LoadModel;
  readonly isPinned: boolean;
}

const streaming = { stream: true, stream_options: { include_usage: true } } as const;
/** An engine that has failed so is no use to the next request. */
const ENDED: readonly WeftErrorCode[] = ["device_lost", "engine_closed", "worker_failed"];

export class ModelSet implements HostedEngine {
  readonly chat: ChatApi;
  readonly completions: CompletionsApi;
  readonly embeddings: EmbeddingsApi = {
    create: (request, options) => this.#embed(request, options),
  };
  readonly models: ModelsApi = modelsApi(() => this.#list());
  readonly pace: HostedEngine["pace"];
  readonly #slots: ReadonlyMap<string, ModelSlot>;
  readonly #main: ModelSlot;
  readonly #createdMs = Date.now();
  readonly #pages = new Map<object, PageState>();
  readonly #onMove = new Set<(info: EngineInfo) => void>();
  readonly #startMs = performance.now();

  private constructor(members: ReadonlyMap<string, SetMember>, budgetBytes: number) {
    const room = new MemoryRoom(budgetBytes);
    const now = () => performance.now();
    const slots = [...members].map(([name, { load, isPinned }]) => {
      const onReady = (engine: HostedEngine) => this.#welcome(slot, engine);
      const slot = new ModelSlot({ name, isPinned }, load, room, { now, onReady });
      return slot;
    });
    this.#slots = new Map(slots.map((slot) => [slot.name, slot]));
    this.#main = slots[0];
    this.chat = chatOver((request, options) =>
      this.#stream(request, options, (engine, asked, how) =>
        engine.chat.completions.create({ ...asked, ...streaming }, how),
      ),
    );
    this.completions = completionsOver((request, options) =>
      this.#stream(request, options, (engine, asked, how) =>
        engine.completions.create({ ...asked, ...streaming }, how),
      ),
    );
    this.pace = {
      report: (page, state) => {
        this.#pages.set(page, state);
        for (const engine of this.#engines) engine.pace.report(page, state);
      },
      leave: (page) => {
        this.#pages.delete(page);
        for (const engine of this.#engines) engine.pace.leave(page);
      },
    };
  }

  /**
   * Loads the first of them, which answers whoever names none.
   * @throws {WeftError} of every kind that loading can.
   */
  static async open(
    members: ReadonlyMap<string, SetMember>,
    budgetBytes: number,
    signal?: AbortSignal,
  ): Promise<ModelSet> {
    const set = new ModelSet(members, budgetBytes);
    try {
      const engine = await set.#main.acquire(signal);
      await set.#main.figures.read(engine);
      set.#main.release();
      return set;
    } catch (error) {
      await set.close();
      throw error;
    }
  }

  /** Of the first model, as it is or was the last time that it was loaded. */
  get info(): EngineInfo {
    return this.#main.info!;
  }

  async *generate(
    request: GenerateRequest,
    options: CallOptions = {},
  ): ReturnType<HostedEngine["generate"]> {
    yield* this.#lent(this.#main, options, (engine) => engine.generate(request, options));
  }

  session(): Session {
    const id = crypto.randomUUID();
    return {
      id,
      hold: async (ms) => this.hold(id, ms),
      release: async () => this.release(id),
    };
  }

  hold(session: string, ms: number): void {
    for (const engine of this.#engines) engine.hold(session, ms);
  }

  release(session: string): void {
    for (const engine of this.#engines) engine.release(session);
  }

  onMove(listener: (info: EngineInfo) => void): () => void {
    this.#onMove.add(listener);
    return () => this.#onMove.delete(listener);
  }

  /** Those of the first model, and of each by name. */
  async metrics(): Promise<EngineMetrics> {
    const models: Record<string, ModelMetrics> = {};
    for (const slot of this.#slots.values()) {
      const engine = slot.engine && (await slot.figures.read(slot.engine).catch(() => undefined));
      const { state, bytes, numUsers: users, numWaiting: waiting, loadMs } = slot;
      const { total } = slot.figures;
      models[slot.name] = {
        ...{ state, bytes, users, waiting, loads: slot.numLoads, evictions: slot.numEvictions },
        ...(loadMs !== undefined && { loadMs }),
        ...(total && { total }),
        ...(engine && { engine }),
      };
    }
    const { latest, total } = this.#main.figures;
    return { ...latest!, uptimeMs: performance.now() - this.#startMs, total: total!, models };
  }

  async gauges(model?: string): Promise<EngineGauges> {
    const slot = this.#slotOf(model);
    if (slot.engine) return slot.engine.gauges();
    // As long as its last load took, or nobody knows.
    const ms = slot.loadMs ?? 0;
    const queueMs = Object.fromEntries(PRIORITIES.map((priority) => [priority, ms]));
    return {
      ...{ waiting: slot.numWaiting, running: 0, plansInFlight: 0, kv: [] },
      queueMs: queueMs as Record<Priority, number>,
    };
  }

  async trace(options?: TraceOptions): Promise<Trace> {
    return (await this.#main.engine?.trace(options)) ?? { displayTimeUnit: "ms", traceEvents: [] };
  }

  async kvMap(): Promise<KvMap> {
    return (await this.#main.engine?.kvMap()) ?? { blockTokens: 0, groups: [] };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#slots.values()].map((slot) => slot.close()));
  }

  async *#stream<R extends SharedRequest, Chunk>(
    request: R,
    options: CallOptions = {},
    start: (
      engine: HostedEngine,
      request: R,
      options: CallOptions,
    ) => Promise<AsyncIterable<Chunk>>,
  ): AsyncGenerator<Chunk, void, undefined> {
    checkSignal(options.signal);
    const slot = this.#slotOf(request.model);
    yield* this.#lent(slot, options, (engine) => start(engine, request, options));
  }

  async #embed(request: EmbeddingRequest, options: CallOptions = {}): Promise<EmbeddingResponse> {
    checkSignal(options.signal);
    const slot = this.#slotOf(request?.model);
    async function* whole(engine: HostedEngine) {
      yield await engine.embeddings.create(request, options);
    }
    for await (const response of this.#lent(slot, options, whole)) return response;
    throw new WeftError("internal", "there are no embeddings");
  }

  /** The model stays while its chunks are read. */
  async *#lent<Chunk>(
    slot: ModelSlot,
    { signal }: CallOptions,
    start: (engine: HostedEngine) => AsyncIterable<Chunk> | Promise<AsyncIterable<Chunk>>,
  ): AsyncGenerator<Chunk, void, undefined> {
    const engine = await slot.acquire(signal);
    try {
      yield* await start(engine);
    } catch (error) {
      if (error instanceof WeftError && ENDED.includes(error.code)) slot.discard(engine);
      throw error;
    } finally {
      slot.release();
    }
  }

  /** @throws {WeftError} `model_not_found`. */
  #slotOf(name: string | null | undefined): ModelSlot {
    if (name === undefined || name === null) return this.#main;
    const slot = this.#slots.get(name);
    if (slot) return slot;
    if (typeof name !== "string") refuse("model", name, "a text");
    const known = [...this.#slots.keys()].map((other) => JSON.stringify(other)).join(", ");
    throw new WeftError(
      "model_not_found",
      `model is ${JSON.stringify(name.slice(0, 80))}, this engine has ${known}; name one of them, or leave model out`,
    );
  }

  get #engines(): readonly HostedEngine[] {
    return [...this.#slots.values()].flatMap(({ engine }) => engine ?? []);
  }

  #list(): readonly Model[] {
    return [...this.#slots.values()].map(({ name, info, state }) => {
      const served = info ?? { model: { id: name, createdMs: this.#createdMs }, maxContext: 0 };
      const { max_model_len: length, ...model } = modelOf(served);
      return { ...model, id: name, state, ...(info && { max_model_len: length }) };
    });
  }

  /** It was loaded: it hears of the pages that are there, and of whom to tell where it moves. */
  #welcome(slot: ModelSlot, engine: HostedEngine): void {
    for (const [page, state] of this.#pages) engine.pace.report(page, state);
    if (slot !== this.#main) return;
    engine.onMove((info) => {
      for (const listener of this.#onMove) listener(info);
    });
  }
}
