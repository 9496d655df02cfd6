/**
 * One download or removal of a model at a time: among all tabs and workers of the origin where there are Web
 * Locks, among the callers of this process elsewhere. Two processes of Node may download a model twice; each
 * writes every file whole, so neither breaks the other's.
 */
import { abortError, throwIfAborted } from "../errors.ts";

/** By name, who came last; settles when its turn is over. */
const waiting = new Map<string, Promise<void>>();

/** @throws {WeftError} `aborted`, also while it waits; and what `run` throws. */
export async function withModelLock<T>(
  name: string,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const { locks } = globalThis.navigator ?? {};
  if (!locks) return inTurn(name, signal, run);
  let isMine = false;
  try {
    return await locks.request(name, { signal }, () => {
      isMine = true;
      return run();
    });
  } catch (error) {
    if (!isMine && signal?.aborted) throw abortError(signal.reason);
    throw error;
  }
}

async function inTurn<T>(
  name: string,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const before = waiting.get(name) ?? Promise.resolve();
  let leave = () => {};
  const turn = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const mine = before.then(() => turn);
  waiting.set(name, mine);
  try {
    await orAborted(before, signal);
    return await run();
  } finally {
    leave();
    if (waiting.get(name) === mine) waiting.delete(name);
  }
}

function orAborted(wait: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return wait;
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortError(signal.reason));
    signal.addEventListener("abort", abort);
    wait.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}
