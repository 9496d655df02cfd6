/**
 * From a vocabulary entry to the bytes it stands for, where the tokenizer's decoder works on bytes:
 * byte-level BPE, and SentencePiece with byte fallback. Other decoders need whole texts.
 */

export interface ByteDecoder {
  /** The bytes of an ordinary token. */
  bytes(token: string): Uint8Array;
  /** Spaces that decoding drops at the start of a text. */
  readonly strippedSpaces: number;
}

const encoder = new TextEncoder();

/**
 * @param decoder The `decoder` of tokenizer.json.
 * @returns undefined for a decoder whose output for a token depends on its neighbours.
 */
export function byteDecoder(decoder: unknown): ByteDecoder | undefined {
  const steps = stepsOf(decoder);
  if (steps.length === 1 && steps[0].type === "ByteLevel") {
    return { bytes: byteLevelBytes, strippedSpaces: 0 };
  }
  return sentencePieceDecoder(steps);
}

interface Step {
  readonly type?: string;
  readonly [field: string]: unknown;
}

function stepsOf(decoder: unknown): readonly Step[] {
  const step = (decoder ?? {}) as Step;
  return step.type === "Sequence" ? ((step.decoders ?? []) as Step[]) : [step];
}

/** Replace(▁, space), ByteFallback, Fuse and perhaps Strip(space, 1, 0): Llama 2, Mistral, Gemma. */
function sentencePieceDecoder(steps: readonly Step[]): ByteDecoder | undefined {
  const [replace, byteFallback, fuse, strip] = steps;
  const pattern = (replace?.pattern as { String?: unknown } | undefined)?.String;
  const { content } = replace ?? {};
  if (replace?.type !== "Replace" || typeof pattern !== "string" || typeof content !== "string") {
    return undefined;
  }
  if (byteFallback?.type !== "ByteFallback" || fuse?.type !== "Fuse" || steps.length > 4) {
    return undefined;
  }
  const stripsStart = strip?.type === "Strip" && strip.content === " " && (strip.stop ?? 0) === 0;
  if (strip !== undefined && !stripsStart) return undefined;
  return {
    bytes(token) {
      const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
      if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
      return encoder.encode(token.replaceAll(pattern, content));
    },
    strippedSpaces: strip === undefined ? 0 : Number(strip.start ?? 0),
  };
}

/** A token with a character outside the alphabet stands for itself, as in `tokenizers`. */
function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_CHAR.get(token.charCodeAt(i));
    if (byte === undefined) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/**
 * GPT-2's alphabet: bytes that print stand for themselves, the other 68 for U+0100 onwards in
 * order. @see https://github.com/openai/gpt-2/blob/master/src/encoder.py (bytes_to_unicode)
 */
const BYTE_OF_CHAR: ReadonlyMap<number, number> = (() => {
  const charOfByte = new Map<number, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const prints =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
    charOfByte.set(prints ? byte : next++, byte);
  }
  return charOfByte;
})();
