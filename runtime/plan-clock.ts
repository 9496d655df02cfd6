/**
 * GPU milliseconds of each plan. The device's own where it measures them; elsewhere an estimate from
 * the host's clock, so that costs can be learnt on every device.
 */
export class PlanClock {
  #lastDoneMs = Number.NEGATIVE_INFINITY;

  /**
   * Call once per plan, in order, when its readbacks have come.
   *
   * @param measuredMs By the device, if it could.
   *
   * The estimate is the time in which this plan alone can have run: since it was submitted, or since
   * the plan before it was done if that was later. It includes the way of the readback to the host,
   * and where two come at once the first has the time of both; over many plans the sum is right.
   */
  gpuMs(measuredMs: number | undefined, submittedMs: number, doneMs: number): number {
    const startedMs = Math.max(submittedMs, this.#lastDoneMs);
    this.#lastDoneMs = doneMs;
    return measuredMs ?? Math.max(0, doneMs - startedMs);
  }
}

/** Undefined where one is not known. */
export const totalMs = (times: readonly (number | undefined)[]): number | undefined =>
  times.reduce((sum, ms) => (sum === undefined || ms === undefined ? undefined : sum + ms));
