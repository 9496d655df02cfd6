/**
 * A model of a given shape with random weights, made as they are read: speed can be measured without
 * a download and without a disk. Owns no architecture; its text is noise.
 */
import { seededRandom } from "../../kernels/probe.ts";
import { readDecoderSpec } from "../../models/registry.ts";
import { decoderWeights } from "../../models/weights.ts";
import { throwIfAborted } from "../errors.ts";
import { type ByteSource, type Bytes, checkRange } from "../weights/byte-source.ts";
import { checkFileName, type ModelFolder, notFound } from "./model-folder.ts";

/** The values repeat after so many; a prime, so that no two rows of a matrix are alike. */
const PERIOD = 524_287;

/**
 * Weights are f16.
 * @param config As in config.json: any `model_type` that the engine knows.
 */
export function randomFolder(config: object, location = "random"): ModelFolder {
  const weights = randomCheckpoint(config);
  const files: Readonly<Record<string, readonly [Bytes, number]>> = {
    "config.json": text(config),
    "tokenizer.json": text(byteTokenizer()),
    "generation_config.json": text({ do_sample: false }),
    "model.safetensors": weights,
  };
  return {
    location,
    async open(name, signal) {
      throwIfAborted(signal);
      checkFileName(name);
      const file = files[name];
      if (!file) throw notFound(name, location);
      return randomSource(`${location}/${name}`, ...file);
    },
  };
}

/** The given head, and random values behind it up to the file's size. */
function randomSource(name: string, head: Bytes, sizeBytes: number): ByteSource {
  const source: ByteSource = {
    name,
    sizeBytes,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      throwIfAborted(signal);
      const bytes = new Uint8Array(length);
      bytes.set(head.subarray(offset, offset + length));
      let at = Math.max(0, head.length - offset);
      while (at < length) {
        const from = (offset + at - head.length) % pattern().length;
        const piece = pattern().subarray(from, from + length - at);
        bytes.set(piece, at);
        at += piece.length;
      }
      return bytes;
    },
  };
  return source;
}

/** Header and size of a safetensors file with every tensor that the config asks for. */
function randomCheckpoint(config: object): readonly [Bytes, number] {
  const spec = readDecoderSpec({ ...config });
  const tensors: Record<
    string,
    { dtype: "F16"; shape: readonly number[]; data_offsets: number[] }
  > = {};
  let end = 0;
  for (const { tensor, shape } of decoderWeights(spec).flatMap(({ parts }) => parts)) {
    const begin = end;
    end += 2 * shape.reduce((count, size) => count * size, 1);
    tensors[tensor] = { dtype: "F16", shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(tensors));
  const head = new Uint8Array(8 + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  head.set(json, 8);
  return [head, head.length + end];
}

function text(value: object): readonly [Bytes, number] {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return [bytes, bytes.length];
}

let values: Bytes | undefined;

/** f16 of either sign between 1/128 and 1/16: no infinity, no NaN, nothing that vanishes. */
function pattern(): Bytes {
  if (values) return values;
  const random = seededRandom(1);
  const halves = Uint16Array.from({ length: PERIOD }, () => {
    const word = Math.floor(random() * 0x1_0000);
    const exponent = 8 + (word % 3);
    return (word & 0x8000) | (exponent << 10) | (word & 0x3ff);
  });
  values = new Uint8Array(halves.buffer);
  return values;
}

/** One id per printable ASCII letter: enough to start from a text. */
function byteTokenizer() {
  const letters = ["Ġ", ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))];
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
      merges: [],
    },
  };
}
