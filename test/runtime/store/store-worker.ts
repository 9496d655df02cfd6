// A dedicated or shared worker that loads a model by way of the store, and says what it has read.

import { type ModelFolder, readText } from "../../../runtime/model-folder/model-folder.ts";
import { sha256Hex } from "../../../runtime/sha256.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { opfsFiles } from "../../../runtime/store/opfs-files.ts";

export interface Loaded {
  readonly weights: string;
  readonly config: string;
  /** Of what the server has sent to this worker. */
  readonly fetchedBytes: number;
}

async function weightsHash(folder: ModelFolder): Promise<string> {
  const source = await folder.open("model.safetensors");
  return sha256Hex(await source.read(0, source.sizeBytes));
}

async function load(folder: string, model: string): Promise<Loaded> {
  let fetchedBytes = 0;
  const counting: typeof fetch = async (...args) => {
    const response = await fetch(...args);
    fetchedBytes += Number(response.headers.get("content-length") ?? 0);
    return response;
  };
  const store = new ModelStore(opfsFiles(folder), { fetch: counting, partBytes: 1 << 17 });
  if (!(await store.isAvailable())) throw new Error("no store");
  const opened = await store.open(model);
  const config = await readText(opened, "config.json");
  return { weights: await weightsHash(opened), config, fetchedBytes };
}

interface Port {
  postMessage(message: unknown): void;
}

const serve = (port: Port) => (event: MessageEvent) => {
  const { folder, model, inPlace } = event.data;
  // As in browsers that write by handles of dedicated workers alone.
  if (inPlace) Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
  load(folder, model).then(
    (loaded) => port.postMessage({ loaded }),
    (error) => port.postMessage({ error: String(error) }),
  );
};

const scope = globalThis as typeof globalThis & {
  onconnect?: ((event: MessageEvent) => void) | null;
};

if ("onconnect" in scope) {
  scope.onconnect = ({ ports: [port] }) => {
    port.onmessage = serve(port);
  };
} else scope.onmessage = serve(scope as unknown as Port);
