/**
 * Requests that wait on AbortSignals. Owns one listener per signal, however many requests share it:
 * Node takes more than ten for a leak and says so on stderr. What an abort does is the callers'.
 */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls once when the signal aborts; never without a signal, or when it has aborted already.
 * @returns Ends the waiting; the last to end takes the listener away.
 */
export function onAbort(signal: AbortSignal | undefined, call: () => void): () => void {
  if (!signal) return () => {};
  let calls = waiting.get(signal);
  if (!calls) {
    calls = new Set();
    waiting.set(signal, calls);
    signal.addEventListener("abort", callAll);
  }
  calls.add(call);
  return () => {
    calls.delete(call);
    if (calls.size === 0 && waiting.get(signal) === calls) forget(signal);
  };
}

function callAll(this: AbortSignal): void {
  const calls = waiting.get(this) ?? [];
  forget(this);
  for (const call of calls) call();
}

function forget(signal: AbortSignal): void {
  waiting.delete(signal);
  signal.removeEventListener("abort", callAll);
}
