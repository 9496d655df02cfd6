/**
 * Counts what each plan costs: every kernel call, dispatch and submission between two plans. Wraps
 * a device, so the engine that is measured is the engine that serves.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import type { WorkPlan } from "../scheduler/work-plan.ts";
import type { Device, DeviceBuffer, PipelineSpec, Submission } from "./device.ts";

export interface MeteredStep {
  readonly plan: WorkPlan;
  /** Those with work, in order; `label` names the stage of the model's calls. */
  readonly calls: readonly KernelCall[];
  readonly dispatches: number;
  readonly submissions: number;
  /** The plan's own, whose GPU time comes with its tokens. */
  readonly submission: Submission;
}

/** Give its `device` to an engine, and its `onPlan` too: it then tells what each plan has cost. */
export class StepMeter {
  /** Give this to the engine, and `onPlan` too. */
  readonly device: Device;
  readonly #counted: Device["counters"];
  readonly #steps: MeteredStep[] = [];
  #calls: KernelCall[] = [];
  #dispatches = 0;
  #submissions = 0;
  #submission: Submission = { gpuMs: undefined };

  constructor(device: Device) {
    this.#counted = device.counters;
    this.device = new ObservedDevice(device, {
      onCall: (call) => {
        if (call.kernel.workgroups(call.dims).every((count) => count > 0)) this.#calls.push(call);
      },
      onSubmission: (submission) => {
        this.#submission = submission;
      },
    });
  }

  readonly onPlan = (plan: WorkPlan): void => {
    const { dispatches, submissions } = this.#counted;
    this.#steps.push({
      plan,
      calls: this.#calls,
      dispatches: dispatches - this.#dispatches,
      submissions: submissions - this.#submissions,
      submission: this.#submission,
    });
    this.#begin();
  };

  /** Steps since the last call; what was recorded outside a plan is dropped. */
  take(): MeteredStep[] {
    this.#begin();
    return this.#steps.splice(0);
  }

  #begin(): void {
    this.#calls = [];
    this.#dispatches = this.#counted.dispatches;
    this.#submissions = this.#counted.submissions;
  }
}

/** Bytes that the calls move, as their kernels predict: re-reads included, uniforms not. */
export function predictedBytes(calls: readonly KernelCall[]): number {
  let bytes = 0;
  for (const { kernel, dims } of calls) {
    for (const moved of Object.values(kernel.cost(dims).bytes)) bytes += moved;
  }
  return bytes;
}

interface DeviceObserver {
  onCall(call: KernelCall): void;
  onSubmission(submission: Submission): void;
}

class ObservedDevice implements Device {
  readonly info;
  readonly counters;
  readonly lost;
  readonly #device: Device;
  readonly #observer: DeviceObserver;

  constructor(device: Device, observer: DeviceObserver) {
    this.info = device.info;
    this.counters = device.counters;
    this.lost = device.lost;
    this.#device = device;
    this.#observer = observer;
  }

  record(calls: Iterable<KernelCall>): void {
    const list = [...calls];
    for (const call of list) this.#observer.onCall(call);
    this.#device.record(list);
  }

  createBuffer(label: string, sizeBytes: number): Promise<DeviceBuffer> {
    return this.#device.createBuffer(label, sizeBytes);
  }
  destroyBuffer(buffer: DeviceBuffer): void {
    this.#device.destroyBuffer(buffer);
  }
  write(buffer: DeviceBuffer, offsetBytes: number, data: ArrayBufferView): void {
    this.#device.write(buffer, offsetBytes, data);
  }
  prepare(pipelines: readonly PipelineSpec[], onReady?: () => void): Promise<void> {
    return this.#device.prepare(pipelines, onReady);
  }
  readback(...slices: BufferSlice[]): Promise<Uint8Array> {
    return this.#device.readback(...slices);
  }
  submit(): Submission {
    const submission = this.#device.submit();
    this.#observer.onSubmission(submission);
    return submission;
  }
  idle(): Promise<void> {
    return this.#device.idle();
  }
  destroy(): void {
    this.#device.destroy();
  }
}
