/** Streams that have begun when they are handed out. */

/**
 * Reports a refused request from `create` itself, not from the first turn of the reader's loop. A
 * reader that leaves, even before its first turn, aborts the request.
 */
export async function started<T>(
  chunks: AsyncGenerator<T, void, undefined>,
): Promise<AsyncIterable<T>> {
  let first: IteratorResult<T, void> | undefined = await chunks.next();
  const next = () => {
    const result = first ? Promise.resolve(first) : chunks.next();
    first = undefined;
    return result;
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: () => chunks.return() }) };
}
