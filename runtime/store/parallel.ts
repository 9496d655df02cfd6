/** Work on a list, some items at a time. */

/**
 * Takes items in order. After the first failure no more are taken and those under way are aborted; it is thrown
 * once all have ended, so that nothing goes on behind the caller's back.
 */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  signal: AbortSignal | undefined,
  run: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  let failure: { readonly error: unknown } | undefined;
  const left = items[Symbol.iterator]();
  const worker = async () => {
    while (!failure) {
      const { done, value } = left.next();
      if (done) return;
      try {
        await run(value, either);
      } catch (error) {
        failure ??= { error };
        failed.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  if (failure) throw failure.error;
}
