/**
 * Hands a step to the GPU in the submissions that its plan has been cut into. No more than two are under
 * way at a time: what others want of the GPU meanwhile, a page's frame above all, waits for those.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { PlannedSubmission } from "../scheduler/work-plan.ts";
import type { Device, Submission } from "./device.ts";
import type { StageRun } from "./stage-runs.ts";

export class StepSubmissions {
  readonly #device: Device;
  /** Read back after each: it brings the times. */
  readonly #anything: BufferSlice;
  /** Stages before which a submission ends, but for the last. */
  #ends: readonly number[] = [];
  #numEnded = 0;
  #under: Promise<unknown>[] = [];
  #made: Submission[] = [];

  constructor(device: Device, anything: BufferSlice) {
    this.#device = device;
    this.#anything = { ...anything, sizeBytes: 4 };
  }

  begin(planned: readonly PlannedSubmission[]): void {
    this.#ends = planned.slice(0, -1).map(({ to }) => to);
    this.#numEnded = 0;
    [this.#under, this.#made] = [[], []];
  }

  /** Those of the step that were handed over; the last is not, when the step is recorded. */
  get made(): readonly Submission[] {
    return this.#made;
  }

  /** @returns The runs, none of which goes across an end; packed rows stay together. */
  cut(runs: readonly StageRun[], isPacked: (run: StageRun) => boolean): readonly StageRun[] {
    if (this.#ends.length === 0) return runs;
    return runs.flatMap((run) => {
      if (isPacked(run)) return [run];
      const inside = this.#ends.filter((end) => end > run.from && end < run.to);
      const bounds = [run.from, ...inside, run.to];
      return bounds.slice(1).map((to, i) => ({ ...run, from: bounds[i], to }));
    });
  }

  /** Before a run is recorded. Waits for the submission before the last. */
  async before({ from }: StageRun): Promise<void> {
    const end = this.#ends[this.#numEnded];
    if (end === undefined || from < end) return;
    while (this.#ends[this.#numEnded] <= from) this.#numEnded += 1;
    const done = this.#device.readback(this.#anything);
    // Whoever waits for the step hears of a failure.
    done.catch(() => {});
    this.#made.push(this.#device.submit());
    this.#under.push(done);
    if (this.#under.length > 1) await this.#under.shift();
  }
}
