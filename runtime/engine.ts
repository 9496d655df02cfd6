/**
 * The main path. A request becomes ids, ids become a sequence, the step loop turns sequences into
 * plans and plans into kernel calls, and what is sampled comes back as text.
 *
 *   request → chat template → tokenizer → scheduler → work plan → step inputs → graph → kernels
 *           → sampler → readback → detokenizer → stream
 */
import { numStages } from "../models/decoder.ts";
import type { SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import { onAbort } from "./abort-listeners.ts";
import { Answers } from "./answers.ts";
import { BlockCopier } from "./block-copier.ts";
import { CalibratedPlans, type CalibratedPlansOptions } from "./calibrated-plans.ts";
import { type ChatApi, chatApi } from "./chat.ts";
import type { Device } from "./device.ts";
import { abortError, throwIfAborted, WeftError } from "./errors.ts";
import type { ResidentExperts } from "./experts/resident-experts.ts";
import { LayerPolicies, type ResolvedPolicy } from "./layer-policies.ts";
import type { SequenceStart } from "./live-sequence.ts";
import { loadModel, type ModelPlan } from "./load-model.ts";
import type { LoadModelOptions } from "./load-options.ts";
import type { EngineMetrics } from "./metrics.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import type { ModelRunner } from "./model-runner.ts";
import { modelScheduler, type SchedulerOptions } from "./model-scheduler.ts";
import {
  type CallOptions,
  checkLength,
  checkRequest,
  checkSignal,
  type GenerateChunk,
  type GenerateRequest,
  refuse,
} from "./request.ts";
import { hasPenalties, Sampler } from "./sampler.ts";
import { requireSound, type SelfTestReport, selfTest } from "./self-test.ts";
import { openSession, type Session } from "./session.ts";
import { StepLoop } from "./step-loop.ts";
import { SwappedBlocks } from "./swapped-blocks.ts";
import { type PlanListener, Telemetry } from "./telemetry.ts";
import { TextModel } from "./text-model.ts";
import type { Trace } from "./trace.ts";
import { IdleTuner } from "./tuning/idle-tuner.ts";
import { tunableMatrices } from "./tuning/model-matrices.ts";

export interface EngineOptions extends LoadModelOptions, SchedulerOptions, CalibratedPlansOptions {
  /** Sees every plan, for traces and tests. */
  readonly onPlan?: (plan: WorkPlan) => void;
  /** Sees when every plan was made, submitted and read back, for cost models. */
  readonly onRead?: PlanListener;
}

interface EngineStart extends Pick<SequenceStart, "promptIds" | "maxTokens" | "forkOf"> {
  readonly policy: ResolvedPolicy;
}

/** Work of tuning in the idle time of one engine; its pipelines are built within it. */
const TUNING_MS = 1500;

export class Engine {
  readonly device: Device;
  readonly plan: ModelPlan;
  readonly text: TextModel;
  /** What the load-time self-test found. */
  readonly selfTest: SelfTestReport;
  readonly chat: ChatApi = chatApi(this);
  readonly loop: StepLoop;
  /** For measurements of the model while nothing is under way. */
  readonly runner: ModelRunner;
  readonly #policies: LayerPolicies;
  readonly #telemetry: Telemetry;
  readonly #experts: ResidentExperts | undefined;
  readonly #tuner: IdleTuner | undefined;

  private constructor(
    parts: Pick<Engine, "device" | "plan" | "text" | "selfTest" | "loop" | "runner"> & {
      readonly calibrated: CalibratedPlans;
    },
    telemetry: Telemetry,
    experts: ResidentExperts | undefined,
    tuner: IdleTuner | undefined,
  ) {
    this.device = parts.device;
    this.plan = parts.plan;
    this.text = parts.text;
    this.selfTest = parts.selfTest;
    this.loop = parts.loop;
    this.runner = parts.runner;
    this.#policies = new LayerPolicies(parts.plan, parts.calibrated);
    this.#telemetry = telemetry;
    this.#experts = experts;
    this.#tuner = tuner;
    void this.device.lost.then(({ message }) => {
      this.loop.stop(
        new WeftError("device_lost", `the device was lost: ${message}; create the engine again`),
      );
    });
  }

  /** @throws {WeftError} of every kind that loading can. */
  static async load(device: Device, folder: ModelFolder, options: EngineOptions): Promise<Engine> {
    const text = await TextModel.open(folder, options.signal);
    const calibrated = await CalibratedPlans.open(folder, options);
    const { runner, plan, choice } = await loadModel(device, folder, options);
    const { maxRows: numSlots, maxLogitRows: numRows, maxContext } = plan;
    const sampler = await Sampler.create(runner, { numSlots, numRows, maxContext });
    const copier = await BlockCopier.create(runner, plan.kv, plan.maxRows);
    const pipelines = [...runner.pipelines, ...sampler.pipelines, ...copier.pipelines];
    await device.prepare(pipelines);
    const report = await selfTest(device, pipelines, choice);
    requireSound(report);
    const scheduler = modelScheduler(plan, options);
    const now = () => performance.now();
    const names = { model: plan.spec.modelType, adapter: device.info.adapter };
    const stages = numStages(plan.spec);
    const { onPlan, onRead } = options;
    const observer = new Telemetry({ scheduler, now, onRead, numStages: stages, ...names });
    const swapped = new SwappedBlocks(runner, plan.kv);
    const parts = { runner, sampler, copier, swapped, scheduler };
    const loop = new StepLoop({ ...parts, now, onPlan, observer });
    const { tuning: cache } = options;
    const tuner =
      cache && device.info.kind === "gpu"
        ? new IdleTuner({
            ...{ device, cache, standard: choice.matmul },
            matrices: tunableMatrices(runner.nodes, {
              T: plan.maxTokensPerPlan,
              R: plan.maxLogitRows,
            }),
            budgetMs: TUNING_MS,
            isIdle: () => loop.usage.sequences === 0,
          })
        : undefined;
    return new Engine(
      { device, plan, text, selfTest: report, loop, runner, calibrated },
      observer,
      runner.experts,
      tuner,
    );
  }

  /**
   * The answer to a prompt, or `n` of them, piece by piece. Leaving the loop early or aborting frees
   * all it holds.
   * @throws {WeftError} `bad_request`, `request_too_long`, `aborted`, `device_lost`, `engine_closed`.
   */
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
    const policy = this.#policies.resolve(request.layerPolicy);
    checkAnswers(request, policy);
    const reported = request.layerPolicy && policy;
    const answers = new Answers(this.text.tokenizer, request, promptIds, leave, reported);
    const ignoreSignal = onAbort(signal, () => {
      leave();
      answers.fail(abortError(signal?.reason));
    });
    try {
      for (let index = 0; index < answers.count; index++) {
        if (maxTokens === 0) answers.finish(index, "length", 0);
        else {
          const start = { promptIds, maxTokens, policy, forkOf: ids.at(0) };
          ids.push(this.#start(request, start, answers, index));
        }
      }
      yield* answers;
    } finally {
      ignoreSignal();
      this.#tuner?.wake();
    }
  }

  /** Counters since the engine was created, and figures of the latest requests and steps. */
  metrics(): EngineMetrics {
    return { ...this.#telemetry.metrics(), experts: this.#experts?.metrics };
  }

  /** The latest requests and steps on a time line, for Perfetto: save it as JSON and open it there. */
  trace(): Trace {
    return this.#telemetry.trace();
  }

  /** For requests that follow one another and may keep what they computed in between. */
  session(): Session {
    return openSession(this.loop);
  }

  /** Aborts what runs and frees the device. */
  async close(): Promise<void> {
    this.#tuner?.stop();
    this.loop.stop(
      new WeftError("engine_closed", "the engine was closed; create another to go on"),
    );
    await this.#experts?.close();
    this.device.destroy();
  }

  #start(
    request: GenerateRequest,
    { policy, ...start }: EngineStart,
    answers: Answers,
    index: number,
  ): SequenceId {
    const { promptIds, maxTokens } = start;
    const { priority, deadlineMs, client, program, session, cacheSalt } = request;
    const scheduling = { priority, deadlineMs, client, program, session, cacheSalt };
    const adapter = adapterNumber(this.plan.adapters?.names ?? [], request.adapter);
    const sampling = this.text.resolveSampling(request, index);
    try {
      checkLength(promptIds.length, maxTokens, this.plan.maxContext);
      return this.loop.add({
        ...{ ...start, sampling, scheduling, adapter },
        ...{ layerPlan: policy.layerPlan, alternation: policy.alternation },
        onRouted: policy.onRouted,
        // Penalties count what was sampled before, and drafts are not.
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

/** @throws {WeftError} `bad_request`. */
function checkAnswers({ n = 1 }: GenerateRequest, { onRouted }: ResolvedPolicy): void {
  if (n > 1 && onRouted) {
    refuse("n", n, "1 beside the layer policy routers, which decides for each answer anew");
  }
}

/** @throws {WeftError} `bad_request` for a name that the engine was not given. */
function adapterNumber(names: readonly string[], name: string | undefined): number {
  if (name === undefined) return 0;
  const index = names.indexOf(name);
  if (index >= 0) return index + 1;
  throw new WeftError(
    "bad_request",
    `adapter is ${JSON.stringify(name)}, this engine has ${names.map((known) => JSON.stringify(known)).join(", ") || "none"}; ` +
      "name one of them, or create the engine with it (adapters)",
  );
}
