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
import { ggufConfig, ggufLayout } from "./gguf-config.ts";
import { ggufPooling } from "./gguf-pooling.ts";
import { ROPE_TENSORS, type RopeLists } from "./gguf-rope.ts";
import { ggufGenerationConfig, ggufTokenizer, ggufTokenizerConfig } from "./gguf-tokenizer.ts";
import { GgufVocabulary } from "./gguf-vocabulary.ts";
import type { ModelFolder } from "./model-folder.ts";

/** Above any head; the list lies in the file's data, so the header does not bound it. */
const MAX_ROPE_LIST = 4096;

/** What the small files are made from. */
class Model {
  readonly header: GgufHeader;
  readonly ropeLists: RopeLists;
  #vocabulary: GgufVocabulary | undefined;

  constructor(header: GgufHeader, ropeLists: RopeLists) {
    this.header = header;
    this.ropeLists = ropeLists;
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
): Required<ModelFolder> {
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
        return new GgufCheckpoint(header, source, ggufLayout(header));
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
  ["config.json", ({ header, ropeLists }: Model) => ggufConfig(header, ropeLists)],
  ["tokenizer.json", ({ vocabulary }) => ggufTokenizer(vocabulary)],
  ["tokenizer_config.json", ({ vocabulary }) => ggufTokenizerConfig(vocabulary)],
  ["generation_config.json", ({ vocabulary }) => ggufGenerationConfig(vocabulary)],
  ["1_Pooling/config.json", ({ header }) => ggufPooling(header)],
]);

async function readModel(
  openSource: (signal?: AbortSignal) => Promise<ByteSource>,
  signal: AbortSignal | undefined,
): Promise<Model> {
  const source = await openSource(signal);
  try {
    const header = await readGgufHeader(source, signal);
    return new Model(header, await readRopeLists(header, source, signal));
  } finally {
    await source.close?.();
  }
}

async function readRopeLists(
  header: GgufHeader,
  source: ByteSource,
  signal: AbortSignal | undefined,
): Promise<RopeLists> {
  const checkpoint = new GgufCheckpoint(header, source, { architecture: "" });
  const lists: Record<string, readonly number[]> = {};
  for (const [kind, name] of Object.entries(ROPE_TENSORS)) {
    if (!checkpoint.has(name)) continue;
    const tensor = checkpoint.tensor(name);
    const [size] = tensor.shape;
    if (tensor.shape.length !== 1 || size > MAX_ROPE_LIST) {
      throw new WeftError(
        "bad_gguf",
        `tensor ${name} in ${header.name} has shape [${tensor.shape}], a list of at most ` +
          `${MAX_ROPE_LIST} was expected; convert the model anew`,
      );
    }
    lists[kind] = [...(await readFloat32(tensor, { signal }))];
  }
  return lists;
}

function notInFile(name: string, location: string): WeftError {
  return new WeftError(
    "file_not_found",
    `${location} gives no ${name}: a GGUF file stands for ${[...FILES.keys()].join(", ")} and the ` +
      "weights; give the model's folder if you need another file",
  );
}
