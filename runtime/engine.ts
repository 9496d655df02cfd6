/**
 * The main path. A request becomes ids, ids become a sequence, the step loop turns sequences into
 * plans and plans into kernel calls, and what is sampled comes back as text.
 *
 *   request → chat template → tokenizer → scheduler → work plan → step inputs → graph → kernels
 *           → sampler → readback → detokenizer → stream
 */
import { numStages } from "../models/decoder.ts";
import type { KvMap } from "../scheduler/index.ts";
import type { SequenceId } from "../scheduler/work-plan.ts";
import { onAbort } from "./abort-listeners.ts";
import { adapterNumber } from "./adapters/adapter-number.ts";
import { Answers } from "./answers.ts";
import { CalibratedPlans } from "./calibrated-plans.ts";
import type { Device } from "./device.ts";
import { type EngineInfo, engineInfo, type HostedEngine } from "./engine-api.ts";
import type { EngineOptions, EngineSource } from "./engine-options.ts";
import { type EngineParts, loadFitting, loadParts } from "./engine-parts.ts";
import { abortError, throwIfAborted, WeftError } from "./errors.ts";
import type { Guided } from "./guide/guided.ts";
import { Guides } from "./guide/guides.ts";
import type { ResolvedPolicy } from "./layer-policies.ts";
import type { SequenceStart } from "./live-sequence.ts";
import type { ModelPlan } from "./load-model.ts";
import type { EngineGauges, EngineMetrics } from "./metrics.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import { modelName } from "./model-folder/model-name.ts";
import type { ModelRunner } from "./model-runner.ts";
import { modelScheduler } from "./model-scheduler.ts";
import { type ChatApi, chatApi } from "./openai/chat.ts";
import type { PooledText } from "./openai/embeddings.ts";
import { type CompletionsApi, completionsApi } from "./openai/lazy-completions.ts";
import { type EmbeddingsApi, embeddingsApi } from "./openai/lazy-embeddings.ts";
import { type ModelsApi, modelOf, modelsApi } from "./openai/models.ts";
import { EnginePace } from "./pacing/engine-pace.ts";
import { Recovery } from "./recovery.ts";
import {
  type CallOptions,
  checkLength,
  checkRequest,
  checkSignal,
  type GenerateChunk,
  type GenerateRequest,
} from "./request.ts";
import { RequestPolicies } from "./request-policies.ts";
import { hasPenalties } from "./sampler.ts";
import type { SelfTestReport } from "./self-test.ts";
import { openSession, type Session } from "./session.ts";
import { StepLoop } from "./step-loop.ts";
import { Telemetry } from "./telemetry.ts";
import { TextModel } from "./text-model.ts";
import type { Trace, TraceOptions } from "./trace.ts";
import { engineTuner } from "./tuning/engine-tuner.ts";
import type { IdleTuner } from "./tuning/idle-tuner.ts";

interface EngineStart extends Pick<SequenceStart, "promptIds" | "maxTokens" | "forkOf"> {
  readonly policy: ResolvedPolicy;
  readonly guide?: Guided;
}

export class Engine implements HostedEngine {
  readonly text: TextModel;
  readonly chat: ChatApi = chatApi(this);
  readonly completions: CompletionsApi = completionsApi(this);
  readonly embeddings: EmbeddingsApi = embeddingsApi(this);
  readonly models: ModelsApi = modelsApi(() => [modelOf(this.info)]);
  readonly loop: StepLoop;
  readonly pace: EnginePace;
  readonly #model: { readonly id: string; readonly createdMs: number };
  readonly #policies: RequestPolicies;
  readonly #guides: Guides;
  readonly #telemetry: Telemetry;
  readonly #options: EngineOptions;
  readonly #recovery: Recovery | undefined;
  readonly #onMove = new Set<(info: EngineInfo) => void>();
  #parts: EngineParts;
  #tuner: IdleTuner | undefined;

  private constructor(
    parts: EngineParts,
    source: EngineSource,
    options: EngineOptions,
    { text, calibrated }: { readonly text: TextModel; readonly calibrated: CalibratedPlans },
  ) {
    const { device, plan } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#model = { id: source.name ?? modelName(source.folder), createdMs: Date.now() };
    this.text = text;
    this.#policies = new RequestPolicies(plan, calibrated);
    this.#guides = new Guides(text.tokenizer, plan.spec, source.constraintPort);
    const scheduler = modelScheduler(plan, options);
    const now = () => performance.now();
    const names = { model: plan.spec.modelType, adapter: device.info.adapter };
    const { onPlan, onRead } = options;
    const watched = { scheduler, now, onRead, numStages: numStages(plan.spec) };
    const observer = new Telemetry({ ...watched, ...names });
    this.#telemetry = observer;
    const onDeviceFailure = (error: WeftError) => this.#recovery?.begin(error) ?? false;
    this.loop = new StepLoop({ ...parts, scheduler, now, onPlan, observer, onDeviceFailure });
    this.pace = new EnginePace(this.loop, options.quantumMs);
    this.#tuner = this.#newTuner();
    this.#recovery = source.reopen && this.#recoverable(source.folder, source.reopen);
    if (!this.#recovery) void device.lost.then(({ message }) => this.loop.stop(lost(message)));
  }

  /** @throws {WeftError} of every kind that loading can. */
  static async load(source: EngineSource, options: EngineOptions): Promise<Engine> {
    const { folder } = source;
    const text = await TextModel.open(folder, options);
    const calibrated = await CalibratedPlans.open(folder, options);
    const parts = await loadFitting(source, options);
    return new Engine(parts, source, options, { text, calibrated });
  }

  get info(): EngineInfo {
    return engineInfo(this.plan, this.device.info, this.selfTest, this.#model);
  }

  get device(): Device {
    return this.#parts.device;
  }

  get plan(): ModelPlan {
    return this.#parts.plan;
  }

  /** What the load-time self-test found. */
  get selfTest(): SelfTestReport {
    return this.#parts.selfTest;
  }

  /** For measurements of the model while nothing is under way. */
  get runner(): ModelRunner {
    return this.#parts.runner;
  }

  async *generate(
    request: GenerateRequest,
    { signal }: CallOptions = {},
  ): AsyncGenerator<GenerateChunk, void, undefined> {
    const { vocabSize } = this.plan.spec;
    checkRequest(request, vocabSize);
    checkSignal(signal);
    throwIfAborted(signal);
    const promptIds = this.text.encodePrompt(request.prompt, vocabSize);
    const maxTokens = request.maxTokens ?? Math.max(1, this.plan.maxContext - promptIds.length);
    const ids: SequenceId[] = [];
    const leave = () => {
      for (const id of ids) this.loop.abort(id);
    };
    const named = request.layerPolicy;
    const policy =
      named === undefined ? this.#policies.whole : await this.#policies.resolve(named, request);
    throwIfAborted(signal);
    const reported = named && policy;
    const answers = new Answers(this.text.tokenizer, request, promptIds, leave, reported);
    const ignoreSignal = onAbort(signal, () => {
      leave();
      answers.fail(abortError(signal?.reason));
    });
    this.pace.count(1);
    let guides: readonly Guided[] = [];
    try {
      guides = await this.#guides.open(request, maxTokens, signal);
      throwIfAborted(signal);
      for (let index = 0; index < answers.count; index++) {
        if (maxTokens === 0) answers.finish(index, "length", 0);
        else {
          const guide = guides.at(index);
          const start = { promptIds, maxTokens, policy, guide, forkOf: ids.at(0) };
          ids.push(this.#start(request, start, answers, index));
        }
      }
      yield* answers;
    } finally {
      for (const guide of guides.slice(ids.length)) guide.close();
      ignoreSignal();
      this.pace.count(-1);
      this.#tuner?.wake();
    }
  }

  /** Texts to vectors, as `embeddings` asks for them. */
  async embed(texts: readonly PooledText[], options?: CallOptions): Promise<Float32Array[]> {
    const { embed } = await import("./embedder.ts");
    const { loop, text, plan } = this;
    this.pace.count(1);
    try {
      return await embed({ loop, text, plan, pooler: this.#parts.pooler }, texts, options);
    } finally {
      this.pace.count(-1);
      this.#tuner?.wake();
    }
  }

  async metrics(): Promise<EngineMetrics> {
    const { metrics: experts } = this.runner.experts ?? {};
    const { frames } = this.pace;
    const figures = await this.#telemetry.metrics();
    return { ...figures, ...(experts && { experts }), ...(frames && { frames }) };
  }

  async gauges(): Promise<EngineGauges> {
    return this.#telemetry.gauges();
  }

  async trace(options?: TraceOptions): Promise<Trace> {
    return this.#telemetry.trace(options);
  }

  async kvMap(): Promise<KvMap> {
    return this.loop.kvMap();
  }

  session(): Session {
    return openSession(this.loop);
  }

  onMove(listener: (info: EngineInfo) => void): () => void {
    this.#onMove.add(listener);
    return () => this.#onMove.delete(listener);
  }

  hold(session: string, ms: number): void {
    this.loop.hold(session, ms);
  }

  release(session: string): void {
    this.loop.release(session);
  }

  async close(): Promise<void> {
    this.pace.stop();
    this.#tuner?.stop();
    this.#recovery?.close();
    this.loop.stop(
      new WeftError("engine_closed", "the engine was closed; create another to go on"),
    );
    await this.#guides.close();
    await this.runner.experts?.close();
    this.device.destroy();
  }

  #recoverable(folder: ModelFolder, open: () => Promise<Device>): Recovery {
    const options = { ...this.#options, signal: undefined };
    const load = (next: Device, kvShare: number) =>
      loadParts(next, folder, { ...options, kvShare }, this.#parts);
    const onRecovered = (parts: EngineParts) => {
      void this.runner.experts?.close();
      this.#tuner?.stop();
      this.#parts = parts;
      this.#tuner = this.#newTuner();
      for (const listener of this.#onMove) listener(this.info);
    };
    return new Recovery({ loop: this.loop, open, load, onRecovered }, this.device);
  }

  #newTuner(): IdleTuner | undefined {
    const isIdle = () => this.loop.usage.sequences === 0;
    return engineTuner(this.#parts, this.#options.tuning, isIdle);
  }

  #start(
    request: GenerateRequest,
    { policy, guide, ...start }: EngineStart,
    answers: Answers,
    index: number,
  ): SequenceId {
    const { promptIds, maxTokens } = start;
    const { priority, deadlineMs, client, program, session, cacheSalt } = request;
    const scheduling = { priority, deadlineMs, client, program, session, cacheSalt };
    const adapter = adapterNumber(this.plan.adapters?.names ?? [], request.adapter);
    const sampling = this.text.resolveSampling(request, index);
    try {
      checkLength(promptIds.length, maxTokens, this.plan.maxContext, request.maxPromptTokens);
      return this.loop.add({
        ...{ ...start, guide, sampling, scheduling, adapter },
        ...{ layerPlan: policy.layerPlan, alternation: policy.alternation },
        onRouted: policy.onRouted,
        // Penalties count what was sampled before; drafts are not.
        ...(!hasPenalties(sampling) && { drafter: policy.drafter, lookup: policy.lookup?.() }),
        onToken: (token) => answers.push(index, token),
        onFinish: (reason, layerTokens) => answers.finish(index, reason, layerTokens),
        onError: (error) => answers.fail(error),
      });
    } catch (cause) {
      const error = WeftError.from(cause);
      if (error.code === "request_too_long") this.#telemetry.onReject({ promptIds, scheduling });
      throw error;
    }
  }
}

const lost = (message: string): WeftError =>
  new WeftError("device_lost", `the device was lost: ${message}; create the engine again`);
