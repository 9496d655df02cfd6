/**
 * Brings an engine back after its device was lost or ran out of memory: another device, the weights
 * once more from where they came, every request from the ids that were read. Owns how often that is
 * tried, and when the KV cache is made smaller. Requests wait meanwhile and hear nothing of it.
 */
import type { Device } from "./device.ts";
import type { EngineParts } from "./engine-parts.ts";
import { reasonOf, WeftError } from "./errors.ts";
import type { StepLoop } from "./step-loop.ts";

export interface RecoveryOptions {
  readonly loop: StepLoop;
  /** @throws {WeftError} `no_adapter`. */
  open(): Promise<Device>;
  /** @param kvShare Of the KV cache that was planned at first. */
  load(device: Device, kvShare: number): Promise<EngineParts>;
  /** They are the engine's from now on. */
  onRecovered(parts: EngineParts): void;
}

/** Before each attempt: a GPU process that has crashed takes a moment to come back. */
const PAUSES_MS = [0, 200, 800, 2000];
/** Losses in a row without a plan read back in between. From the second on the cache is halved. */
const MOST_LOSSES = 5;
const LEAST_SHARE = 1 / 16;

export class Recovery {
  readonly #options: RecoveryOptions;
  #device: Device;
  #isUnderWay = false;
  #isClosed = false;
  #kvShare = 1;
  #numLosses = 0;
  #numCommitted = 0;

  constructor(options: RecoveryOptions, device: Device) {
    this.#options = options;
    this.#device = device;
    this.#watch(device);
  }

  /** The engine is closed: what comes of an attempt that is under way is given back. */
  close(): void {
    this.#isClosed = true;
  }

  /** @returns Whether the engine will come back, or end with an error of its own if it cannot. */
  begin(failure: WeftError): boolean {
    if (this.#isClosed) return false;
    if (this.#isUnderWay) return true;
    const { loop } = this.#options;
    const hasProgressed = loop.numCommitted > this.#numCommitted;
    this.#numLosses = hasProgressed ? 1 : this.#numLosses + 1;
    this.#numCommitted = loop.numCommitted;
    if (this.#numLosses > MOST_LOSSES) return false;
    const isShort = failure.code === "out_of_memory" || this.#numLosses > 1;
    if (isShort && !this.#shrink()) return false;
    this.#isUnderWay = true;
    loop.loseDevice();
    // One that failed otherwise holds memory that the next one needs.
    this.#device.destroy();
    void this.#recover(failure);
    return true;
  }

  #watch(device: Device): void {
    void device.lost.then(({ message }) => {
      if (device !== this.#device || this.#isClosed) return;
      const error = new WeftError(
        "device_lost",
        `the device was lost ${this.#numLosses + 1} times in a row: ${message}; create the engine again`,
      );
      if (!this.begin(error)) this.#options.loop.stop(error);
    });
  }

  async #recover(failure: WeftError): Promise<void> {
    const { loop } = this.#options;
    let last = failure;
    for (const pauseMs of PAUSES_MS) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      if (this.#isClosed) return;
      try {
        await this.#attempt();
        return;
      } catch (error) {
        last = WeftError.from(error);
        if (last.code === "out_of_memory" && !this.#shrink()) break;
      }
    }
    loop.stop(
      new WeftError(
        last.code,
        `the device was lost (${failure.message}) and could not be replaced: ${reasonOf(last)}; ` +
          "create the engine again",
        { cause: last },
      ),
    );
  }

  async #attempt(): Promise<void> {
    const { loop, open, load, onRecovered } = this.#options;
    const device = await open();
    try {
      const parts = await load(device, this.#kvShare);
      if (this.#isClosed) {
        device.destroy();
        return;
      }
      this.#device = device;
      this.#isUnderWay = false;
      onRecovered(parts);
      const { groups } = parts.plan.kv;
      loop.moveTo(
        parts,
        groups.map(({ numBlocks }) => numBlocks),
        new WeftError(
          "request_too_long",
          `the GPU came back with room for ${parts.plan.maxContext} tokens of KV cache, and the request ` +
            "may need more; ask for fewer tokens, or close other users of the GPU",
        ),
      );
      this.#watch(device);
    } catch (error) {
      device.destroy();
      throw error;
    }
  }

  /** @returns Whether there is anything left to give up. */
  #shrink(): boolean {
    if (this.#kvShare / 2 < LEAST_SHARE) return false;
    this.#kvShare /= 2;
    return true;
  }
}
