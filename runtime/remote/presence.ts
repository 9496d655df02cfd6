/**
 * How one side learns that the other has vanished without a word: a tab that was closed, a worker that
 * was ended. Each holds a lock of its own name for as long as it lives, and the platform gives it to
 * the other side when it does not. For platforms whose ports say nothing.
 *
 * @see Web Locks API, W3C: locks are released when their holder's agent ends.
 */

export interface Presence {
  /** For the other side; undefined where there are no locks. */
  readonly lock: string | undefined;
  leave(): void;
}

/** Resolves once the lock is held. */
export async function bePresent(): Promise<Presence> {
  const { locks } = globalThis.navigator ?? {};
  // Where ports tell of their end, a lock would only keep the page out of the back-forward cache, and
  // Node's are no other process's: a page would find them free.
  if (!locks || portsTell()) return { lock: undefined, leave: () => {} };
  const lock = `weft-${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    void locks.request(
      lock,
      () => new Promise<void>((leave) => resolve({ lock, leave: () => leave() })),
    );
  });
}

/** Resolves when the holder has vanished; never without a lock, nor where the port tells. */
export function absence(lock: string | undefined): Promise<string> {
  return new Promise((resolve) => {
    if (lock === undefined || portsTell()) return;
    void navigator.locks.request(lock, () => resolve("it has ended"));
  });
}

/** Node's do, by an event of which the prototype knows nothing. */
const portsTell = (): boolean =>
  globalThis.process?.versions?.node !== undefined ||
  (typeof MessagePort !== "undefined" && "onclose" in MessagePort.prototype);
