// A model from its server through the store into an engine, and back again without the server.

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createEngineWith, type Platform } from "../../../runtime/create-engine.ts";
import { planModel } from "../../../runtime/load-model.ts";
import { localFolder } from "../../../runtime/model-folder/local-folder.ts";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { MODEL_FILES } from "../../../runtime/store/remote-files.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { tinyModel } from "../../cli/tiny-model.ts";
import { ask } from "../../engine/ask.ts";
import { modelFile, modelFixtures } from "../gguf-fixture.ts";
import { MemoryFiles } from "./memory-files.ts";
import { ModelServer } from "./model-server.ts";

const MODEL = tinyModel();

let server: ModelServer;
let files: MemoryFiles;
let platform: Platform;
beforeEach(async () => {
  server = new ModelServer();
  await server.start();
  for (const name of readdirSync(MODEL)) {
    server.serve("/m", { [name]: readFileSync(`${MODEL}/${name}`) });
  }
  files = new MemoryFiles();
  // Small parts: tensors lie across them.
  const store = new ModelStore(files, { partBytes: 10_007, retryDelayMs: 1 });
  const gpu = () => Promise.reject(new Error("not here"));
  platform = { gpu, openStore: async () => store, runtime: "test", quantumMs: 50 };
});
afterEach(() => server.stop());

async function idsOf(options: Partial<Parameters<typeof createEngineWith>[1]> = {}) {
  const model = `${server.url}/m`;
  const engine = await createEngineWith(platform, { model, device: "reference", ...options });
  try {
    return (await ask(engine, { prompt: "Hello", maxTokens: 6, temperature: 0 })).ids;
  } finally {
    await engine.close();
  }
}

describe("an engine", () => {
  test("answers from the store as from the folder, also without the server", async () => {
    const wanted = await idsOf({ model: localFolder(MODEL) });
    const steps: LoadProgress[] = [];
    const ids = await idsOf({ onProgress: (step) => void steps.push(step) });
    expect(ids).toEqual(wanted);
    expect(steps.map(({ phase }) => phase).filter((phase, i, all) => phase !== all[i - 1])).toEqual(
      [...["download", "load"]],
    );
    expect(steps.at(-1)!.loadedBytes).toBe(steps.at(-1)!.totalBytes);
    await server.stop();
    expect(await idsOf()).toEqual(wanted);
  });

  test("gets another device where the first is lost while its model comes", async () => {
    const devices: ReferenceDevice[] = [];
    const open = async () => {
      devices.push(new ReferenceDevice());
      return devices.at(-1)!;
    };
    const onProgress = ({ phase }: LoadProgress) => {
      if (phase === "download") devices[0].destroy();
    };
    const platformOfTwo = { ...platform, open };
    const model = `${server.url}/m`;
    const engine = await createEngineWith(platformOfTwo, { model, device: "gpu", onProgress });
    expect((await ask(engine, { prompt: "Hello", maxTokens: 2 })).ids).toHaveLength(2);
    await engine.close();
    expect(devices).toHaveLength(2);
  });

  test("is planned from a GGUF file as well", async () => {
    const file = await modelFile(modelFixtures.find(({ name }) => name === "qwen3-f16")!);
    server.serve("", { "m.gguf": file });
    const planned = async (folder: ModelFolder) => {
      const device = new ReferenceDevice();
      const plan = await planModel(device, folder);
      await plan.close();
      return plan.weights;
    };
    const wanted = await planned(openModelFolder(new Blob([file])));
    const store = await platform.openStore!();
    const url = `${server.url}/m.gguf`;
    const weights = await planned(await store.open(url));
    expect(weights.map(({ spec }) => spec)).toEqual(wanted.map(({ spec }) => spec));
    await server.stop();
    expect(await planned(await store.open(url))).toHaveLength(wanted.length);
  });

  test("with store: false keeps nothing", async () => {
    expect(await idsOf({ store: false })).toHaveLength(6);
    expect(files.contents.size).toBe(0);
    const none = createEngineWith(
      { ...platform, openStore: undefined },
      { model: `${server.url}/m`, store: true, device: "reference" },
    );
    await expect(none).rejects.toMatchObject({ code: "bad_request" });
  });

  test("refuses a model it cannot compute before its weights are downloaded", async () => {
    const config = JSON.parse(readFileSync(`${MODEL}/config.json`, "utf8"));
    server.serve("/m", { "config.json": JSON.stringify({ ...config, model_type: "unheard-of" }) });
    await expect(idsOf()).rejects.toMatchObject({ code: "unsupported_model" });
    expect(files.contents.size).toBe(0);
  });
});

test("the store knows every file that loading opens", async () => {
  const opened = new Set<string>();
  const folder = localFolder(MODEL);
  const watched: ModelFolder = {
    ...folder,
    open: (name, signal) => {
      opened.add(name);
      return folder.open(name, signal);
    },
  };
  await idsOf({ model: watched });
  const adapted = idsOf({ model: folder, adapters: { a: { ...watched, location: "adapter" } } });
  await expect(adapted).rejects.toMatchObject({ code: "file_not_found" });
  // Of a model without weights, the index is looked for.
  const weightless: ModelFolder = {
    ...watched,
    open: (name, signal) => watched.open(name === "model.safetensors" ? "none" : name, signal),
  };
  await expect(idsOf({ model: weightless })).rejects.toMatchObject({ code: "file_not_found" });
  opened.delete("none");
  expect([...opened].sort()).toEqual([...MODEL_FILES].sort());
});
