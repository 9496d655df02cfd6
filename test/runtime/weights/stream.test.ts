import { describe, expect, test } from "vitest";
import type { ByteSource } from "../../../runtime/weights/byte-source.ts";
import { toFloat32 } from "../../../runtime/weights/dtype.ts";
import {
  PIECE_BYTES,
  ProgressMeter,
  readFloat32,
  streamTensor,
} from "../../../runtime/weights/stream.ts";
import { bytesOf } from "./safetensors-file.ts";

/** Bytes made on the fly, so that a tensor may be larger than memory allows; watches its readers. */
function endless(sizeBytes: number) {
  const watch = { reads: [] as number[], pending: 0, maxPending: 0, aborted: 0 };
  const source: ByteSource = {
    name: "big.safetensors",
    sizeBytes,
    async read(offset, length, signal) {
      watch.reads.push(length);
      watch.maxPending = Math.max(watch.maxPending, ++watch.pending);
      await new Promise((resolve) => setTimeout(resolve, 1));
      watch.pending--;
      if (signal?.aborted) {
        watch.aborted++;
        throw signal.reason;
      }
      return new Uint8Array(length).fill(offset / PIECE_BYTES);
    },
  };
  return { source, watch };
}

describe("streamTensor", () => {
  test("gives all bytes in bounded pieces, one ahead, with progress", async () => {
    const byteLength = 3 * PIECE_BYTES + 100;
    const { source, watch } = endless(8 + byteLength);
    const loaded: number[] = [];
    const meter = new ProgressMeter(byteLength, ({ loadedBytes, totalBytes, file }) => {
      expect([totalBytes, file]).toEqual([byteLength, "big.safetensors"]);
      loaded.push(loadedBytes);
    });
    let next = 0;
    for await (const { offset, bytes } of streamTensor(
      { source, offset: 8, byteLength },
      { meter },
    )) {
      expect(offset).toBe(next);
      next += bytes.length;
    }
    expect(next).toBe(byteLength);
    expect(watch.reads).toEqual([PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 100]);
    expect(watch.maxPending).toBe(1);
    expect(loaded).toEqual([PIECE_BYTES, 2 * PIECE_BYTES, 3 * PIECE_BYTES, byteLength]);
  });

  test("gives a part, and nothing of an empty tensor", async () => {
    const { source, watch } = endless(1000);
    const tensor = { source, offset: 8, byteLength: 900 };
    const pieces = [];
    for await (const { offset, bytes } of streamTensor(tensor, { from: 100, to: 300 })) {
      pieces.push([offset, bytes.length]);
    }
    for await (const piece of streamTensor({ ...tensor, byteLength: 0 })) pieces.push(piece);
    expect(pieces).toEqual([[100, 200]]);
    expect(watch.reads).toEqual([200]);
  });

  test("cancels the read ahead when the loop is left", async () => {
    const { source, watch } = endless(10 * PIECE_BYTES);
    for await (const _ of streamTensor({ source, offset: 0, byteLength: 10 * PIECE_BYTES })) break;
    await expect.poll(() => watch.aborted).toBe(1);
    expect(watch.reads).toHaveLength(2);
  });

  test("hands on the error of the source and the caller's abort", async () => {
    const { source } = endless(3 * PIECE_BYTES);
    const abort = new AbortController();
    const stream = streamTensor(
      { source, offset: 0, byteLength: 3 * PIECE_BYTES },
      { signal: abort.signal },
    );
    await stream.next();
    abort.abort(new Error("enough"));
    await expect(stream.next()).rejects.toThrow("enough");
  });
});

describe("to float32", () => {
  test("every half", () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = toFloat32(bytesOf(bits), "f16");
    // Apart from the code under test: the bits of the float32 that equals the half.
    const expected = new Uint32Array(65536);
    for (let i = 0; i < 65536; i++) {
      const sign = (i & 0x8000) << 16;
      let exponent = (i >> 10) & 31;
      let fraction = i & 1023;
      if (exponent === 31) expected[i] = sign | 0x7f800000 | (fraction << 13);
      else if (exponent === 0 && fraction === 0) expected[i] = sign;
      else {
        if (exponent === 0) {
          exponent = 1;
          while (!(fraction & 1024)) {
            fraction <<= 1;
            exponent--;
          }
        }
        expected[i] = sign | ((exponent + 112) << 23) | ((fraction & 1023) << 13);
      }
    }
    const wrong = values.findIndex(
      (value, i) => !Object.is(value, new Float32Array(expected.buffer, 4 * i, 1)[0]),
    );
    expect(wrong).toBe(-1);
    expect(Object.is(values[0x8000], -0)).toBe(true);
  });

  test("bf16 and f32 keep their bits, also from a view at an odd offset", () => {
    const values = Float32Array.of(1.5, -0, 0.1, 1e-40, Number.NEGATIVE_INFINITY);
    const odd = new Uint8Array(1 + values.byteLength);
    odd.set(bytesOf(values), 1);
    expect(toFloat32(odd.subarray(1), "f32")).toEqual(values);
    const bf16 = Uint16Array.of(0x3fc0, 0x8000, 0x3dcd, 0xff80);
    expect([...toFloat32(bytesOf(bf16), "bf16")]).toEqual([1.5, -0, 0.10009765625, -Infinity]);
  });

  test("a tensor of several pieces", async () => {
    const count = PIECE_BYTES / 2 + 3;
    const bits = new Uint16Array(count);
    for (let i = 0; i < count; i++) bits[i] = 0x3f80 + (i % 64);
    const bytes = bytesOf(bits);
    const source: ByteSource = {
      name: "x",
      sizeBytes: bytes.length,
      read: async (offset, length) => new Uint8Array(bytes.slice(offset, offset + length)),
    };
    const tensor = { name: "x", source, offset: 0, byteLength: bytes.length, shape: [count] };
    const values = await readFloat32({ ...tensor, dtype: "bf16" });
    expect(values.length).toBe(count);
    expect(values.findIndex((value, i) => value !== 1 + (i % 64) / 128)).toBe(-1);
  });
});
