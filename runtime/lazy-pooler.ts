/** What makes embeddings of an engine: its code, buffers and kernels come with the first text. */
import type { SequenceId } from "../scheduler/work-plan.ts";
import type { ModelRunner } from "./model-runner.ts";
import type { Pooler } from "./pooler.ts";
import type { StepRow } from "./step-inputs.ts";

export class LazyPooler {
  readonly #runner: ModelRunner;
  readonly #numSlots: number;
  #opened: Promise<Pooler> | undefined;
  #pooler: Pooler | undefined;

  /** @param numSlots Texts that are under way at once. */
  constructor(runner: ModelRunner, numSlots: number) {
    this.#runner = runner;
    this.#numSlots = numSlots;
  }

  get isUsed(): boolean {
    return this.#opened !== undefined;
  }

  /** To be waited for before a text is added. @throws {WeftError} `out_of_memory`, `kernel_rejected`. */
  async ready(): Promise<void> {
    this.#opened ??= this.#open();
    this.#pooler = await this.#opened;
  }

  /** As `Pooler.record`. */
  record(rows: readonly StepRow[]): Promise<ReadonlyMap<SequenceId, Float32Array>> | undefined {
    return this.#pooler?.record(rows);
  }

  async #open(): Promise<Pooler> {
    const { Pooler } = await import("./pooler.ts");
    return Pooler.create(this.#runner, this.#numSlots);
  }
}
