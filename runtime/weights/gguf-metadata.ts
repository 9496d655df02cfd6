/**
 * A GGUF file's metadata by key, each value as the type that its reader wants. Owns the words for
 * what is missing or of another type; knows no key.
 */
import { WeftError } from "../errors.ts";
import type { GgufHeader, GgufValue } from "./gguf-header.ts";

const CURE = "convert the model anew with a current converter, or take its Hugging Face folder";

export class GgufMetadata {
  readonly #header: GgufHeader;

  constructor(header: GgufHeader) {
    this.#header = header;
  }

  has(key: string): boolean {
    return this.#header.values.has(key);
  }

  /** Undefined where there is no such key, as in all that follow but `required…`. */
  text(key: string): string | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (entry.type === "string") return entry.value;
    throw this.#wrongType(key, entry, "a string");
  }

  /** An integer from 0 on. */
  count(key: string): number | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    const { type, value } = entry;
    if (type.startsWith("f") || !Number.isSafeInteger(value) || Number(value) < 0) {
      throw this.#wrongType(key, entry, "an integer from 0 on");
    }
    return Number(value);
  }

  /** A number; of an f32, the shortest decimal that is nearest to it, as the writer had it. */
  number(key: string): number | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (typeof entry.value !== "number") throw this.#wrongType(key, entry, "a number");
    return entry.type === "f32" ? shortestDecimal(entry.value) : entry.value;
  }

  flag(key: string): boolean | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (typeof entry.value === "boolean") return entry.value;
    throw this.#wrongType(key, entry, "true or false");
  }

  texts(key: string): readonly string[] | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && entry.elements === "string") return entry.value;
    throw this.#wrongType(key, entry, "an array of strings");
  }

  /** @param elements The one element type that the key may have. */
  numbers(key: string, elements: "i32" | "f32"): Int32Array | Float32Array | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && entry.elements === elements) {
      return entry.value as Int32Array | Float32Array;
    }
    throw this.#wrongType(key, entry, `an array of ${elements}`);
  }

  /** Undefined where the key is no array, too. */
  flags(key: string): readonly boolean[] | undefined {
    const entry = this.#entry(key);
    if (entry?.type !== "array") return undefined;
    if (entry.elements === "bool") return Array.from(entry.value as Uint8Array, (byte) => byte > 0);
    throw this.#wrongType(key, entry, "an array of bool");
  }

  requiredText(key: string): string {
    return this.text(key) ?? this.#missing(key);
  }

  requiredCount(key: string): number {
    return this.count(key) ?? this.#missing(key);
  }

  requiredNumber(key: string): number {
    return this.number(key) ?? this.#missing(key);
  }

  requiredTexts(key: string): readonly string[] {
    return this.texts(key) ?? this.#missing(key);
  }

  bad(what: string): WeftError {
    const { name } = this.#header;
    return new WeftError("bad_gguf", `${name} holds no usable model: ${what}; ${CURE}`);
  }

  #entry(key: string): GgufValue | undefined {
    return this.#header.values.get(key);
  }

  #missing(key: string): never {
    throw this.bad(`it has no metadata ${key}`);
  }

  #wrongType(key: string, { type, value }: GgufValue, required: string): WeftError {
    const actual = type === "array" || type === "string" ? type : `${type} ${value}`;
    return this.bad(`its metadata ${key} is of type ${actual}, not ${required}`);
  }
}

/** The f32 nearest to 1e-6 is 0.000000999999997…; a computation in float64 must see 1e-6. */
function shortestDecimal(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return value;
}
