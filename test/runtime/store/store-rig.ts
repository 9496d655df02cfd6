// A server, a store in memory, and what must hold of them whatever went wrong.

import { afterEach, beforeEach, expect } from "vitest";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { MemoryFiles } from "./memory-files.ts";
import { type Asked, ModelServer } from "./model-server.ts";
import { PART_BYTES } from "./small-model.ts";

export type Model = Readonly<Record<string, Uint8Array | string>>;

export class StoreRig {
  server = new ModelServer();
  files = new MemoryFiles();

  /** For the tests of a file: a server and an empty store for each. */
  constructor() {
    beforeEach(() => {
      this.server = new ModelServer();
      this.emptyStore();
      return this.server.start();
    });
    afterEach(() => this.server.stop());
  }

  get url(): string {
    return `${this.server.url}/m`;
  }

  emptyStore(): void {
    this.files = new MemoryFiles();
  }

  /** As a page that is opened anew: nothing is known but what is stored. */
  newStore(attempts?: number): ModelStore {
    const settings = { partBytes: PART_BYTES, retryDelayMs: 1, stallMs: 3000 };
    return new ModelStore(this.files, { ...settings, attempts });
  }

  /** Whatever is listed as a version can be loaded without the server, and is one of the models. */
  async expectNothingBroken(...models: readonly Model[]): Promise<void> {
    const versions = (await this.newStore().list()).flatMap((model) => model.versions);
    if (versions.length === 0) return;
    const offline = new ModelStore(this.files, {
      fetch: () => Promise.reject(new TypeError("no network")),
      attempts: 1,
    });
    const folder = await offline.open(this.url);
    const same = await Promise.all(models.map((model) => sameFiles(folder, model)));
    expect(same).toContain(true);
  }
}

export const isWeights = ({ path }: Asked): boolean => path.endsWith(".safetensors");

export const bytesOf = (model: Model): number =>
  Object.values(model).reduce((sum, each) => sum + Buffer.byteLength(each as string), 0);

export async function sameFiles(folder: ModelFolder, model: Model): Promise<boolean> {
  for (const [name, content] of Object.entries(model)) {
    const source = await folder.open(name);
    const bytes = await source.read(0, source.sizeBytes);
    if (Buffer.compare(bytes, Buffer.from(content as Uint8Array)) !== 0) return false;
  }
  return true;
}
