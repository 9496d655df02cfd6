/**
 * Tunes a model's matrices while nobody asks it anything, and stores what it finds. It begins once
 * the engine has answered and is quiet, asks again before each submission, and ends with its budget.
 */
import type { MatmulChoices } from "../../models/matmul-choice.ts";
import { matrixKey } from "../../models/matrix-use.ts";
import type { Device } from "../device.ts";
import { Budget } from "./budget.ts";
import type { TunableMatrix } from "./matrix-bench.ts";
import { bucketOf, type RowBucket } from "./row-bucket.ts";
import type { TuningCache, TuningEntry } from "./tuning-cache.ts";

export interface IdleTunerOptions {
  readonly device: Device;
  readonly cache: TuningCache;
  readonly matrices: readonly TunableMatrix[];
  /** What runs without tuning. */
  readonly standard: MatmulChoices;
  /** Work of one engine, in milliseconds. */
  readonly budgetMs: number;
  readonly isIdle: () => boolean;
}

/** A conversation goes on at once, or not for a while. */
const QUIET_MS = 200;
/** Decode is what people wait for, then prompts. */
const BUCKETS: readonly RowBucket[] = ["one", "many", "few"];

export class IdleTuner {
  readonly #options: IdleTunerOptions;
  #state: "waiting" | "working" | "over" = "waiting";
  #isQuiet = false;
  #wake: (() => void) | undefined;

  constructor(options: IdleTunerOptions) {
    this.#options = options;
  }

  /** The engine may have nothing to do now. */
  wake(): void {
    this.#wake?.();
    if (this.#state !== "waiting") return;
    this.#state = "working";
    // A lost device and a full one are the engine's own affairs, and the cache's faults its own.
    void this.#run().catch(() => this.stop());
  }

  stop(): void {
    this.#state = "over";
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { device, cache, budgetMs } = this.#options;
    // Only here: few engines are given a cache.
    const { tuneMatrix } = await import("./tune.ts");
    const { entryOf, readRecord, tuningKey, withEntry } = await import("./tuning-cache.ts");
    const budget = new Budget(budgetMs, () => this.#quiet());
    const key = tuningKey(device.info);
    let entries = readRecord(await cache.read(key), device.info);
    let isFirst = true;
    for (const { matrix, standard } of this.#jobs(entries)) {
      const tuned = await tuneMatrix(device, matrix, standard, budget);
      if (this.#state === "over") return;
      // What had only the rest of the time may be found better by the next engine, with all of it.
      if (tuned?.isComplete || (tuned && isFirst)) {
        entries = withEntry(entries, entryOf(tuned));
        await cache.write(key, { entries });
      }
      if (budget.leftMs === 0) break;
      isFirst = false;
    }
    this.#state = "over";
  }

  /** What the cache lacks, in the order of what it may gain. */
  *#jobs(known: readonly TuningEntry[]) {
    const { matrices, standard } = this.#options;
    const has = new Set(known.map((entry) => `${matrixKey(entry)} ${entry.bucket}`));
    for (const bucket of BUCKETS) {
      for (const matrix of matrices) {
        const choice = standard.get(matrix.format)!;
        const shape = choice.shapes.find((shape) => bucketOf(shape) === bucket);
        const isUsed = shape && matrix.maxRows >= fewestRows(bucket);
        // Where shapes disagree there is nothing to choose.
        if (!isUsed || !choice.fusesNorm || has.has(`${matrixKey(matrix)} ${bucket}`)) continue;
        yield { matrix, standard: shape };
      }
    }
  }

  /** Resolves once the engine has been idle for a while; to false when it is closed. */
  async #quiet(): Promise<boolean> {
    const { isIdle } = this.#options;
    while (this.#state !== "over") {
      if (this.#isQuiet && isIdle()) return true;
      const tookItsTime = await this.#pause(isIdle() ? QUIET_MS : undefined);
      this.#isQuiet = tookItsTime && isIdle();
    }
    return false;
  }

  /** Until somebody wakes it, or so many milliseconds. @returns Whether it was the latter. */
  async #pause(ms: number | undefined): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tookItsTime = await new Promise<boolean>((resolve) => {
      this.#wake = () => resolve(false);
      if (ms !== undefined) timer = setTimeout(() => resolve(true), ms);
    });
    clearTimeout(timer);
    this.#wake = undefined;
    return tookItsTime;
  }
}

const fewestRows = (bucket: RowBucket): number => ({ one: 1, few: 2, many: 17 })[bucket];
