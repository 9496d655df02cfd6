/**
 * Dawn in Node learns that work is done by asking, at every turn of the event loop for as long as
 * anything is pending: a whole core, which a software driver and the host's own work then lack. This
 * paces it. Browsers need nothing of the kind.
 */

/** What an answer that comes at once takes; up to here Dawn may ask at every turn. */
const EAGER_MS = 0.25;
/** As short as timers get. */
const PAUSE_MS = 1;

/** Everything of Dawn that leaves work pending. */
const PENDING_CALLS: readonly (readonly [string, string])[] = [
  ["GPU", "requestAdapter"],
  ["GPUAdapter", "requestDevice"],
  ["GPUBuffer", "mapAsync"],
  ["GPUDevice", "createComputePipelineAsync"],
  ["GPUDevice", "popErrorScope"],
  ["GPUQueue", "onSubmittedWorkDone"],
  ["GPUShaderModule", "getCompilationInfo"],
];

type Call = (this: unknown, ...args: unknown[]) => unknown;
type Classes = Record<string, { prototype: Record<string, Call> } | undefined>;
type Immediate = (callback: () => void) => unknown;

/**
 * Dawn looks `setImmediate` up in the global object when it goes to sleep, so it is handed another
 * one, for just as long as a call into Dawn lasts: nobody else ever sees it.
 * @param classes `globals` of npm `webgpu`.
 */
export function paceDawn(classes: object): void {
  const host = globalThis as unknown as { setImmediate: Immediate };
  let eagerUntilMs = 0;

  const paced: Immediate = (poll) => {
    const again = () => inside(poll);
    if (performance.now() < eagerUntilMs) immediate(again);
    else setTimeout(again, PAUSE_MS);
  };
  const immediate = host.setImmediate;
  const inside = <T>(call: () => T): T => {
    const theirs = host.setImmediate;
    host.setImmediate = paced;
    try {
      return call();
    } finally {
      host.setImmediate = theirs;
    }
  };

  for (const [name, method] of PENDING_CALLS) {
    const { prototype } = (classes as Classes)[name] ?? {};
    const call = prototype?.[method];
    if (!prototype || !call) continue;
    prototype[method] = function (...args) {
      eagerUntilMs = performance.now() + EAGER_MS;
      return inside(() => call.apply(this, args));
    };
  }
}
