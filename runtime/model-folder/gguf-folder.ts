/**
 * A GGUF file as a model folder: config.json, tokenizer.json and the other small files are made from
 * its metadata when they are opened, the weights are its tensors. Owns when the header is read: once,
 * when the first file is asked for.
 */
import { WeftError } from "../errors.ts";
import { type ByteSource, blobSource } from "../weights/byte-source.ts";
import { GgufCheckpoint } from "../weights/gguf-checkpoint.ts";
import { type GgufHeader, readGgufHeader } from "../weights/gguf-header.ts";
import { readFloat32 } from "../weights/stream.ts";
import { ggufConfig, interleavedHeadSize, ROPE_DIVISORS } from "./gguf-config.ts";
import { ggufGenerationConfig, ggufTokenizer, ggufTokenizerConfig } from "./gguf-tokenizer.ts";
import { GgufVocabulary } from "./gguf-vocabulary.ts";
import type { ModelFolder } from "./model-folder.ts";

/** Above any head; the list lies in the file's data, so the header does not bound it. */
const MAX_ROPE_DIVISORS = 4096;

/** What the small files are made from. */
class Model {
  readonly header: GgufHeader;
  readonly ropeDivisors: readonly number[] | undefined;
  #vocabulary: GgufVocabulary | undefined;

  constructor(header: GgufHeader, ropeDivisors: readonly number[] | undefined) {
    this.header = header;
    this.ropeDivisors = ropeDivisors;
  }

  /** A file without a vocabulary still has a configuration and weights. */
  get vocabulary(): GgufVocabulary {
    this.#vocabulary ??= new GgufVocabulary(this.header);
    return this.#vocabulary;
  }
}

/** @param openSource Called for the header, and once more for each checkpoint. */
export function ggufFolder(
  location: string,
  openSource: (signal?: AbortSignal) => Promise<ByteSource>,
): ModelFolder {
  let reading: Promise<Model> | undefined;
  const model = (signal: AbortSignal | undefined): Promise<Model> => {
    reading ??= readModel(openSource, signal).catch((error: unknown) => {
      // An aborted or failed read may be tried again.
      reading = undefined;
      throw error;
    });
    return reading;
  };
  return {
    location,
    async open(name, signal) {
      const make = FILES.get(name);
      if (!make) throw notInFile(name, location);
      const text = JSON.stringify(make(await model(signal)));
      return blobSource(new Blob([text]), `${location}/${name}`);
    },
    async checkpoint(signal) {
      const { header } = await model(signal);
      const source = await openSource(signal);
      if (source.sizeBytes === header.sizeBytes) {
        return new GgufCheckpoint(header, source, {
          interleavedHeadSize: interleavedHeadSize(header),
        });
      }
      await source.close?.();
      throw new WeftError(
        "file_changed",
        `${source.name} had ${header.sizeBytes} bytes and now has ${source.sizeBytes}; load it again`,
      );
    },
  };
}

const FILES: ReadonlyMap<string, (model: Model) => object> = new Map([
  ["config.json", ({ header, ropeDivisors }: Model) => ggufConfig(header, ropeDivisors)],
  ["tokenizer.json", ({ vocabulary }) => ggufTokenizer(vocabulary)],
  ["tokenizer_config.json", ({ vocabulary }) => ggufTokenizerConfig(vocabulary)],
  ["generation_config.json", ({ vocabulary }) => ggufGenerationConfig(vocabulary)],
]);

async function readModel(
  openSource: (signal?: AbortSignal) => Promise<ByteSource>,
  signal: AbortSignal | undefined,
): Promise<Model> {
  const source = await openSource(signal);
  try {
    const header = await readGgufHeader(source, signal);
    return new Model(header, await readRopeDivisors(header, source, signal));
  } finally {
    await source.close?.();
  }
}

async function readRopeDivisors(
  header: GgufHeader,
  source: ByteSource,
  signal: AbortSignal | undefined,
): Promise<readonly number[] | undefined> {
  if (!header.tensors.has(ROPE_DIVISORS)) return undefined;
  const checkpoint = new GgufCheckpoint(header, source, { interleavedHeadSize: undefined });
  const tensor = checkpoint.tensor(ROPE_DIVISORS);
  const [size] = tensor.shape;
  if (tensor.shape.length === 1 && size <= MAX_ROPE_DIVISORS) {
    return [...(await readFloat32(tensor, { signal }))];
  }
  throw new WeftError(
    "bad_gguf",
    `tensor ${ROPE_DIVISORS} in ${header.name} has shape [${tensor.shape}], a list of at most ` +
      `${MAX_ROPE_DIVISORS} was expected; convert the model anew`,
  );
}

function notInFile(name: string, location: string): WeftError {
  return new WeftError(
    "file_not_found",
    `${location} gives no ${name}: a GGUF file stands for ${[...FILES.keys()].join(", ")} and the ` +
      "weights; give the model's folder if you need another file",
  );
}
