/** Several streams as one, in the order in which their chunks come. Owns their common end. */

/** Whoever leaves, or an error of any, ends them all. */
export async function* merged<T>(
  open: readonly ((signal: AbortSignal) => AsyncIterable<T>)[],
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly from: number; readonly value: T }, void, undefined> {
  const leaving = new AbortController();
  const all = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
  const iterators = open.map((stream) => stream(all)[Symbol.asyncIterator]());
  const next = async (from: number) => ({ from, result: await iterators[from].next() });
  const pending = new Map(iterators.map((_, from) => [from, next(from)]));
  try {
    while (pending.size > 0) {
      const { from, result } = await Promise.race(pending.values());
      if (result.done) {
        pending.delete(from);
        continue;
      }
      yield { from, value: result.value };
      pending.set(from, next(from));
    }
  } finally {
    leaving.abort("another of the same request has ended it");
    await Promise.allSettled(pending.values());
  }
}
