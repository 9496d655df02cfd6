/**
 * One run of a serving benchmark: the load, and what readers saw of it. Speed and latency are taken
 * at the reader's end, costs from the engine's own counters.
 */
import type { Engine, LayerPolicy } from "../../node.ts";
import {
  clientService,
  clientShares,
  distribution,
  gapsMs,
  goodput,
  jainIndex,
  SERVICE_LEVELS,
  seededRandom,
  type TraceRequest,
  ttftMs,
} from "../../scheduler/index.ts";
import type { Terminal } from "./command.ts";
import { ProgressBar } from "./progress-bar.ts";
import { closedLoop, openLoop, type Served, type Service } from "./serve-load.ts";
import { poissonArrivals, withPrompts } from "./serve-workload.ts";

const WARM_UP = { numPromptTokens: 64, outputTokens: 16, arrivalMs: 0 };

export interface ServeRun {
  /** "closed", or arrivals per second over the capacity. */
  readonly load: "closed" | number;
  /** Closed loop: clients; open loop: the most requests that were under way at once. */
  readonly concurrency: number;
  readonly requests: number;
  /** Sampled; of a closed loop while every client had a request. */
  readonly aggregateTokPerS: number;
  /** Requests per second within 500 ms to the first token and 100 ms for 99 % of the gaps. */
  readonly goodput: number;
  /** Share of the requests that were. */
  readonly attainment: number;
  readonly ttftMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly itlMs: { readonly p50: number; readonly p99: number };
  readonly preemptions: number;
  readonly recomputedTokens: number;
  readonly overshootTokens: number;
  /** GPU time over the run's. */
  readonly gpuBusy: number;
  /** Of clients, 0 to 1. */
  readonly jain: number;
  readonly makespanMs: number;
}

export interface ServeBenchOptions {
  readonly seed: number;
  /** Of every request; none runs the whole model. */
  readonly layerPolicy: LayerPolicy | undefined;
}

type Lengths = readonly TraceRequest[];

export class ServeBench {
  readonly #engine: Engine;
  readonly #terminal: Terminal;
  readonly #seed: number;
  readonly #layerPolicy: LayerPolicy | undefined;
  /** Of prompts. */
  readonly #random;

  constructor(engine: Engine, terminal: Terminal, { seed, layerPolicy }: ServeBenchOptions) {
    this.#engine = engine;
    this.#terminal = terminal;
    this.#seed = seed;
    this.#layerPolicy = layerPolicy;
    this.#random = seededRandom(seed);
  }

  /** One request for each client, which no figure counts. */
  async warmUp(clients: number): Promise<void> {
    const lengths = Array.from({ length: clients }, () => WARM_UP);
    await closedLoop(this.#service(), this.#prompts(lengths), clients);
  }

  async closed(lengths: Lengths, clients: number): Promise<ServeRun> {
    const prompts = this.#prompts(lengths);
    return this.#measure("closed", lengths.length, (service) =>
      closedLoop(service, prompts, clients),
    );
  }

  async open(lengths: Lengths, load: number, perSecond: number): Promise<ServeRun> {
    const prompts = this.#prompts(lengths);
    const arrivals = poissonArrivals(lengths.length, perSecond, seededRandom(this.#seed));
    return this.#measure(load, lengths.length, (service) => openLoop(service, prompts, arrivals));
  }

  async #measure(
    load: ServeRun["load"],
    numRequests: number,
    work: (service: Service) => Promise<Served>,
  ): Promise<ServeRun> {
    const progress = new ProgressBar(this.#terminal);
    const before = (await this.#engine.metrics()).total;
    let numAnswers = 0;
    const onAnswer = () => progress.count("requests", ++numAnswers, numRequests);
    try {
      const served = await work({ ...this.#service(), onAnswer });
      const after = (await this.#engine.metrics()).total;
      const grown = (name: keyof typeof after) => after[name] - before[name];
      const makespanMs = served.endMs - served.startMs;
      return {
        load,
        concurrency: served.mostAtOnce,
        requests: numRequests,
        ...figures(served),
        preemptions: grown("preemptions"),
        recomputedTokens: grown("recomputedTokens"),
        overshootTokens: grown("overshootTokens"),
        gpuBusy: grown("gpuMs") / makespanMs,
        jain: load === "closed" ? jainOfClosed(served) : jainOfOpen(served),
        makespanMs,
      };
    } finally {
      progress.clear();
    }
  }

  #prompts(lengths: Lengths) {
    return withPrompts(lengths, this.#engine.plan.spec.vocabSize, this.#random);
  }

  #service(): Service {
    const { signal } = this.#terminal;
    return { engine: this.#engine, signal, layerPolicy: this.#layerPolicy };
  }
}

/** What readers saw. */
function figures({ records, startMs, busyUntilMs, endMs }: Served) {
  const ttft = distribution(records.map((record) => ttftMs(record)!));
  const itl = distribution(gapsMs(records));
  const good = goodput(records, endMs - startMs, SERVICE_LEVELS.interactive);
  let tokens = 0;
  for (const { tokenMs } of records) tokens += tokenMs.filter((ms) => ms <= busyUntilMs).length;
  return {
    aggregateTokPerS: (1000 * tokens) / (busyUntilMs - startMs),
    goodput: good.requestsPerS,
    attainment: good.attainment,
    ttftMs: { p50: ttft.p50, p95: ttft.p95, p99: ttft.p99 },
    itlMs: { p50: itl.p50, p99: itl.p99 },
  };
}

/** All clients ask all the time, so what they got is their share. */
const jainOfClosed = ({ records, startMs, busyUntilMs }: Served): number =>
  jainIndex(clientService(records, startMs, busyUntilMs).values());

const jainOfOpen = ({ records, startMs, endMs }: Served): number =>
  jainIndex(clientShares(records, (startMs + endMs) / 2).values());
