/**
 * GPU time of a submission, from its first pass to its last. Two queries and one buffer serve every
 * submission, as the queue runs them in order; each takes its own copy of the times along with a
 * readback. Times no single kernel: that would need a pass for each.
 */

const BEGIN = 0;
const END = 1;

export class SubmissionTimer {
  /** Bytes of the two timestamps. */
  static readonly TIMES_BYTES = 16;
  readonly #queries: GPUQuerySet;
  readonly #times: GPUBuffer;
  #running = false;

  /** @returns undefined where the device has no `timestamp-query`. */
  static create(device: GPUDevice): SubmissionTimer | undefined {
    return device.features.has("timestamp-query") ? new SubmissionTimer(device) : undefined;
  }

  private constructor(device: GPUDevice) {
    this.#queries = device.createQuerySet({ label: "submission", type: "timestamp", count: 2 });
    this.#times = device.createBuffer({
      label: "submission_times",
      size: SubmissionTimer.TIMES_BYTES,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** What the next pass writes: the first its begin, each its end over that of the one before. */
  nextPass(): GPUComputePassTimestampWrites {
    const end = { querySet: this.#queries, endOfPassWriteIndex: END };
    if (this.#running) return end;
    this.#running = true;
    return { ...end, beginningOfPassWriteIndex: BEGIN };
  }

  /** The pass after this is the first of a submission. @returns Whether there was one before. */
  stop(): boolean {
    const ran = this.#running;
    this.#running = false;
    return ran;
  }

  /** @returns A buffer that holds both times from here to the end of the submission. */
  resolve(encoder: GPUCommandEncoder): GPUBuffer {
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#times, 0);
    return this.#times;
  }

  destroy(): void {
    this.#queries.destroy();
    this.#times.destroy();
  }
}

/**
 * @param times Begin and end in nanoseconds, as 64-bit integers.
 * @returns undefined where they tell nothing. Drivers are known to leave a time at 0 and to let
 *   counters wrap; and as browsers round to 0.1 ms, equal times may mean short work or a clock that
 *   stands still.
 */
export function elapsedMs(times: ArrayBuffer): number | undefined {
  const [begin, end] = new BigUint64Array(times);
  return begin > 0n && end > begin ? Number(end - begin) / 1e6 : undefined;
}
