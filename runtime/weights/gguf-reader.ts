/**
 * A cursor over the front of a GGUF file, which is read in pieces as the cursor moves: a header says
 * nowhere how long it is. Owns the bounds: nothing is allocated that the rest of the file cannot
 * fill, and no header may be longer than `MAX_HEADER_BYTES`.
 */
import { WeftError } from "../errors.ts";
import type { ByteSource, Bytes } from "./byte-source.ts";
import { SCALAR_BYTES, type ScalarTypeName } from "./gguf-types.ts";

/** The largest vocabularies known, with merges, take about 20 MB. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
/** What a small model's header needs, and what a server's first answer brings. */
const FIRST_PIECE_BYTES = 64 * 1024;
const PIECE_BYTES = 4 * 1024 * 1024;

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export class GgufReader {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #window: Bytes = new Uint8Array();
  #view = new DataView(this.#window.buffer);
  /** In the window. */
  #at = 0;
  /** In the file: where the window ends. */
  #read = 0;

  constructor(source: ByteSource, signal?: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
  }

  /** From the start of the file. */
  get offset(): number {
    return this.#read - this.#buffered;
  }

  /** Bytes from the cursor to the end of the file. */
  get left(): number {
    return this.#source.sizeBytes - this.offset;
  }

  async scalar(type: ScalarTypeName): Promise<number | bigint | boolean> {
    await this.#need(SCALAR_BYTES[type]);
    const at = this.#at;
    this.#at += SCALAR_BYTES[type];
    switch (type) {
      case "u8":
        return this.#view.getUint8(at);
      case "i8":
        return this.#view.getInt8(at);
      case "u16":
        return this.#view.getUint16(at, true);
      case "i16":
        return this.#view.getInt16(at, true);
      case "u32":
        return this.#view.getUint32(at, true);
      case "i32":
        return this.#view.getInt32(at, true);
      case "f32":
        return this.#view.getFloat32(at, true);
      case "f64":
        return this.#view.getFloat64(at, true);
      case "u64":
        return plain(this.#view.getBigUint64(at, true));
      case "i64":
        return plain(this.#view.getBigInt64(at, true));
      case "bool": {
        const byte = this.#view.getUint8(at);
        if (byte > 1) throw this.bad(`the bool at ${this.offset - 1} is ${byte}, not 0 or 1`);
        return byte === 1;
      }
    }
  }

  async u32(): Promise<number> {
    return Number(await this.scalar("u32"));
  }

  /** A u64 that counts or measures something of this file. */
  async size(what: string): Promise<number> {
    const value = await this.scalar("u64");
    if (typeof value === "number") return value;
    throw this.bad(`${what} is ${value}, more than any file holds`);
  }

  async string(what: string): Promise<string> {
    const length = await this.size(`the length of ${what}`);
    this.#checkLeft(length, what);
    await this.#need(length);
    return this.#take(length, what);
  }

  /** Most of a large header is strings of a few bytes, so no promise is made for each. */
  async strings(count: number, what: string): Promise<string[]> {
    this.#checkLeft(count * 8, what);
    const strings: string[] = [];
    while (strings.length < count) {
      while (strings.length < count && this.#buffered >= 8) {
        const length =
          this.#view.getUint32(this.#at, true) + this.#view.getUint32(this.#at + 4, true) * 2 ** 32;
        if (this.#buffered < 8 + length) break;
        this.#at += 8;
        strings.push(this.#take(length, what));
      }
      if (strings.length < count) strings.push(await this.string(`a string of ${what}`));
    }
    return strings;
  }

  async numbers(count: number, type: ScalarTypeName, what: string): Promise<NumberArray> {
    const length = count * SCALAR_BYTES[type];
    this.#checkLeft(length, what);
    await this.#need(length);
    // A copy is aligned, and leaves the window to be replaced.
    const bytes = this.#window.slice(this.#at, this.#at + length);
    this.#at += length;
    const array = new ARRAYS[type](bytes.buffer);
    if (type === "bool" && (array as Uint8Array).some((byte) => byte > 1)) {
      throw this.bad(`${what} has a bool that is not 0 or 1`);
    }
    return array;
  }

  bad(what: string, cure = "download it again"): WeftError {
    const { name } = this.#source;
    return new WeftError("bad_gguf", `${name} is no sound GGUF file: ${what}; ${cure}`);
  }

  get #buffered(): number {
    return this.#window.length - this.#at;
  }

  #checkLeft(length: number, what: string): void {
    if (length <= this.left) return;
    throw this.bad(`${what} takes ${length} bytes at ${this.offset}, ${this.left} are left`);
  }

  /** Reads on until `length` bytes lie behind the cursor in the window. */
  async #need(length: number): Promise<void> {
    if (this.#buffered >= length) return;
    if (length > this.left) {
      throw this.bad(
        `its header goes on at ${this.offset} with ${length} bytes, the file ends at ` +
          `${this.#source.sizeBytes}`,
      );
    }
    if (this.offset + length > MAX_HEADER_BYTES) {
      throw this.bad(`its header is longer than ${MAX_HEADER_BYTES} bytes, the most that is read`);
    }
    const piece = this.#read === 0 ? FIRST_PIECE_BYTES : PIECE_BYTES;
    const wanted = Math.max(length - this.#buffered, piece);
    const bytes = await this.#source.read(
      this.#read,
      Math.min(wanted, this.#source.sizeBytes - this.#read),
      this.#signal,
    );
    const rest = this.#window.subarray(this.#at);
    const window = new Uint8Array(rest.length + bytes.length);
    window.set(rest);
    window.set(bytes, rest.length);
    this.#window = window;
    this.#view = new DataView(window.buffer);
    this.#at = 0;
    this.#read += bytes.length;
  }

  #take(length: number, what: string): string {
    const from = this.#at;
    const to = from + length;
    this.#at = to;
    try {
      return this.#decoder.decode(this.#window.subarray(from, to));
    } catch {
      throw this.bad(`${what} at ${this.offset - length} is not UTF-8`);
    }
  }
}

const ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  bool: Uint8Array,
};

const plain = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;
