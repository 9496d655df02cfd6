// The GPU calls of one step, recorded as the engine makes them and made again without the engine:
// what the same work costs a program that does nothing else.

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly offsets: Iterable<number> | undefined;
  readonly grid: readonly [number, number, number];
}

type WriteArgs = [GPUBuffer, number, ArrayBuffer, number, number];
type CopyArgs = [GPUBuffer, number, GPUBuffer, number, number];

/** One submission of one pass, and the buffer writes that go with it. */
export class RecordedStep {
  readonly dispatches: Dispatch[] = [];
  readonly writes: WriteArgs[] = [];
  readonly copies: CopyArgs[] = [];
  readonly resolves: Parameters<GPUCommandEncoder["resolveQuerySet"]>[] = [];
  pass: GPUComputePassDescriptor | undefined;
}

/** Watches every GPU call of the process. @returns Ends it, and gives a step per submission. */
export function recordSteps(): () => RecordedStep[] {
  const steps: RecordedStep[] = [];
  let step = new RecordedStep();
  let pipeline: GPUComputePipeline;
  let bound: Pick<Dispatch, "group" | "offsets">;
  const undo = [
    watch(GPUCommandEncoder.prototype, "beginComputePass", (descriptor) => {
      step.pass = descriptor;
    }),
    watch(GPUComputePassEncoder.prototype, "setPipeline", (set) => {
      pipeline = set;
    }),
    watch(GPUComputePassEncoder.prototype, "setBindGroup", (...args: unknown[]) => {
      bound = { group: args[1] as GPUBindGroup, offsets: args[2] as number[] | undefined };
    }),
    watch(GPUComputePassEncoder.prototype, "dispatchWorkgroups", (x, y = 1, z = 1) => {
      step.dispatches.push({ pipeline, ...bound, grid: [x, y, z] });
    }),
    watch(GPUCommandEncoder.prototype, "copyBufferToBuffer", (...args: unknown[]) => {
      step.copies.push(args as CopyArgs);
    }),
    watch(GPUCommandEncoder.prototype, "resolveQuerySet", (...args) => {
      step.resolves.push(args);
    }),
    watch(GPUQueue.prototype, "writeBuffer", (...args: unknown[]) => {
      const [buffer, at, source, from, bytes] = args as WriteArgs;
      step.writes.push([buffer, at, source.slice(from, from + bytes), 0, bytes]);
    }),
    watch(GPUQueue.prototype, "submit", () => {
      steps.push(step);
      step = new RecordedStep();
    }),
  ];
  return () => {
    for (const end of undo) end();
    return steps;
  };
}

function watch<C extends object, K extends keyof C>(
  prototype: C,
  method: K,
  seen: C[K] extends (...args: infer A) => unknown ? (...args: A) => void : never,
): () => void {
  const call = prototype[method] as (this: unknown, ...args: unknown[]) => unknown;
  const told = seen as (...args: unknown[]) => void;
  prototype[method] = function (this: unknown, ...args: unknown[]) {
    told(...args);
    return call.apply(this, args);
  } as C[K];
  return () => {
    prototype[method] = call as C[K];
  };
}

/**
 * Each ends in one readback, as the engine's steps do, and the next begins when it has come.
 * @returns Host microseconds of each replay.
 */
export async function replayBare(
  device: GPUDevice,
  { dispatches, writes, copies, resolves, pass: descriptor }: RecordedStep,
  count: number,
): Promise<number[]> {
  const staging = device.createBuffer({
    size: copies[0][2].size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    for (const [buffer, at, source, from, bytes] of writes) {
      device.queue.writeBuffer(buffer, at, source, from, bytes);
    }
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass(descriptor);
    for (const { pipeline, group, offsets, grid } of dispatches) {
      pass.setPipeline(pipeline);
      if (offsets) pass.setBindGroup(0, group, offsets);
      else pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
    pass.end();
    for (const args of resolves) encoder.resolveQuerySet(...args);
    for (const [source, from, , to, bytes] of copies) {
      encoder.copyBufferToBuffer(source, from, staging, to, bytes);
    }
    device.queue.submit([encoder.finish()]);
    const mapped = staging.mapAsync(GPUMapMode.READ);
    times.push(1000 * (performance.now() - startMs));
    await mapped;
    staging.getMappedRange();
    staging.unmap();
  }
  staging.destroy();
  return times;
}
