/**
 * A model of a given shape with random weights, made as they are read: speed can be measured without
 * a download and without a disk. Owns no architecture; its text is noise.
 */
import { seededRandom } from "../../kernels/probe.ts";
import { readDecoderSpec } from "../../models/registry.ts";
import { decoderWeights } from "../../models/weights.ts";
import { throwIfAborted } from "../errors.ts";
import { type ByteSource, type Bytes, checkRange } from "../weights/byte-source.ts";
import { readQuantisation } from "../weights/quantisation-config.ts";
import { checkFileName, type ModelFolder, notFound } from "./model-folder.ts";

/** The values repeat after so many; a prime, so that no two rows of a matrix are alike. */
const PERIOD = 524_287;

/**
 * Weights are f16, and experts MXFP4 where the config says so.
 * @param config As in config.json: any `model_type` that the engine knows.
 */
export async function randomFolder(config: object, location = "random"): Promise<ModelFolder> {
  const files: Readonly<Record<string, RandomFile>> = {
    "config.json": text(config),
    "tokenizer.json": text(byteTokenizer()),
    "generation_config.json": text({ do_sample: false }),
    "model.safetensors": await randomCheckpoint(config),
  };
  return {
    location,
    async open(name, signal) {
      throwIfAborted(signal);
      checkFileName(name);
      const file = files[name];
      if (!file) throw notFound(name, location);
      return randomSource(`${location}/${name}`, file);
    },
  };
}

interface RandomFile {
  /** Random values follow, up to the file's size. */
  readonly head: Bytes;
  readonly sizeBytes: number;
  /** Bytes that hold `SCALE` instead, by where they begin. */
  readonly scales?: readonly { readonly from: number; readonly to: number }[];
}

/** Of MXFP4: weights are then as large as those in f16. */
const SCALE = 127 - 7;

function randomSource(name: string, { head, sizeBytes, scales = [] }: RandomFile): ByteSource {
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
      for (const { from, to } of scales) {
        const [first, end] = [Math.max(from - offset, 0), Math.min(to - offset, length)];
        if (first < end) bytes.fill(SCALE, first, end);
      }
      return bytes;
    },
  };
  return source;
}

/** Header and size of a safetensors file with every tensor that the config asks for. */
async function randomCheckpoint(config: object): Promise<RandomFile> {
  const tensors: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }> = {};
  let end = 0;
  const add = (tensor: string, dtype: "F16" | "U8", ...shape: number[]) => {
    const begin = end;
    end += (dtype === "F16" ? 2 : 1) * shape.reduce((count, size) => count * size, 1);
    tensors[tensor] = { dtype, shape, data_offsets: [begin, end] };
    return { from: begin, to: end };
  };
  const scales: { from: number; to: number }[] = [];
  const isMxfp4 = readQuantisation({ ...config })?.method === "mxfp4";
  const spec = await readDecoderSpec({ ...config });
  for (const { tensor, shape } of decoderWeights(spec).flatMap(({ parts }) => parts)) {
    const [E, rows, columns] = shape;
    if (!isMxfp4 || shape.length < 3) {
      add(tensor, "F16", ...shape);
      continue;
    }
    add(`${tensor}_blocks`, "U8", E, rows, columns / 32, 16);
    scales.push(add(`${tensor}_scales`, "U8", E, rows, columns / 32));
  }
  const json = new TextEncoder().encode(JSON.stringify(tensors));
  const head = new Uint8Array(8 + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  head.set(json, 8);
  const inFile = scales.map(({ from, to }) => ({ from: head.length + from, to: head.length + to }));
  return { head, sizeBytes: head.length + end, scales: inFile };
}

function text(value: object): RandomFile {
  const head = new TextEncoder().encode(JSON.stringify(value));
  return { head, sizeBytes: head.length };
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
