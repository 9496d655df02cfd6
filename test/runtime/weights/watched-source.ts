import type { ByteSource } from "../../../runtime/weights/byte-source.ts";

/** Notes the length of every read. */
export function watched(inner: ByteSource, reads: number[]): ByteSource {
  return {
    ...inner,
    read(offset, length, signal) {
      reads.push(length);
      return inner.read(offset, length, signal);
    },
  };
}
