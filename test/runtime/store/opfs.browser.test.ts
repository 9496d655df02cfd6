// The store in a browser's private file system: in the page, in a dedicated worker and in a shared one.

import { afterAll, describe, expect, test } from "vitest";
import { readText } from "../../../runtime/model-folder/model-folder.ts";
import { sha256Hex } from "../../../runtime/sha256.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { opfsFiles } from "../../../runtime/store/opfs-files.ts";
import { sha256Running } from "../../../runtime/store/whole-hash.ts";
import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { fileStoreCases } from "./file-store-cases.ts";
import type { Loaded } from "./store-worker.ts";

const MODEL = new URL("/assets/demo", location.href).href;
const FOLDER = `test-${crypto.randomUUID()}`;
const WEIGHTS_BYTES = 3_721_360;

afterAll(async () => {
  const root = await navigator.storage.getDirectory();
  for (const name of [FOLDER, `${FOLDER}-cases`]) {
    await root.removeEntry(name, { recursive: true }).catch(() => {});
  }
});

const newStore = () => new ModelStore(opfsFiles(FOLDER), { partBytes: 1 << 17 });

describe("files", () => {
  fileStoreCases(() => opfsFiles(`${FOLDER}-cases`));
});

describe("the demo model", () => {
  test("is downloaded, though the page was closed under way, and loaded from there", async () => {
    const abort = new AbortController();
    const first: LoadProgress[] = [];
    const aborted = newStore().download(MODEL, {
      signal: abort.signal,
      onProgress: (step) => {
        first.push(step);
        if (step.loadedBytes > 0.6 * step.totalBytes) abort.abort(new Error("closed"));
      },
    });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    const [{ versions, partialBytes }] = await newStore().list();
    expect(versions).toEqual([]);
    expect(partialBytes).toBeGreaterThan(1 << 19);

    const steps: LoadProgress[] = [];
    const store = newStore();
    const version = await store.download(MODEL, { onProgress: (step) => void steps.push(step) });
    expect(steps[0].loadedBytes).toBeGreaterThanOrEqual(partialBytes);
    expect(version.files).toContain("model.safetensors");
    expect(await store.list()).toEqual([
      { model: `${MODEL}/`, location: `${MODEL}/`, versions: [version], partialBytes: 0 },
    ]);

    const folder = await newStore().open(MODEL);
    const served = await (await fetch(`${MODEL}/model.safetensors`)).arrayBuffer();
    const source = await folder.open("model.safetensors");
    expect(source.sizeBytes).toBe(WEIGHTS_BYTES);
    const bytes = await source.read(0, source.sizeBytes);
    expect(await sha256Hex(bytes)).toBe(await sha256Hex(new Uint8Array(served)));
    expect(JSON.parse(await readText(folder, "config.json"))).toHaveProperty("model_type");
    expect((await openCheckpoint(folder)).tensors.size).toBeGreaterThan(10);
    const { usedBytes } = (await store.estimate())!;
    expect(usedBytes).toBeGreaterThan(WEIGHTS_BYTES);
  });

  test.each(["dedicated", "shared"] as const)("is there for a %s worker", async (kind) => {
    const { weights, config, fetchedBytes } = await loadIn(kind, FOLDER, MODEL);
    const folder = await newStore().open(MODEL);
    expect(config).toBe(await readText(folder, "config.json"));
    const source = await folder.open("model.safetensors");
    expect(weights).toBe(await sha256Hex(await source.read(0, source.sizeBytes)));
    expect(fetchedBytes).toBeLessThan(40);
  });

  test("is downloaded once by two workers of either kind, who want it at once", async () => {
    await newStore().remove(MODEL);
    expect(await newStore().list()).toEqual([]);
    const kinds = ["dedicated", "shared", "dedicated"] as const;
    const loaded = await Promise.all(kinds.map((kind) => loadIn(kind, FOLDER, MODEL)));
    expect(new Set(loaded.map(({ weights }) => weights)).size).toBe(1);
    const fetched = loaded.map(({ fetchedBytes }) => fetchedBytes).sort((a, b) => b - a);
    expect(fetched[0]).toBeGreaterThan(WEIGHTS_BYTES);
    expect(fetched[1]).toBeLessThan(40);
    expect((await newStore().list())[0].versions).toHaveLength(1);
    await newStore().remove(MODEL);
  });

  test("is written by a worker that has no streams to write by", async () => {
    const { weights } = await loadIn("dedicated", FOLDER, MODEL, true);
    const folder = await newStore().open(MODEL);
    const source = await folder.open("model.safetensors");
    expect(weights).toBe(await sha256Hex(await source.read(0, source.sizeBytes)));
    // A shared worker has neither: there it is no store, and the model is read from its server.
    await expect(loadIn("shared", FOLDER, `${MODEL}/..`, true)).rejects.toThrow("no store");
    await newStore().remove(MODEL);
  });

  test("can be asked to stay, by a page", async () => {
    expect(typeof (await newStore().persist())).toBe("boolean");
  });
});

test("the hash of more than memory holds is that of the platform", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(50_000));
  const hash = await sha256Running();
  for (let at = 0; at < bytes.length; at += 7000) hash.update(bytes.subarray(at, at + 7000));
  expect(hash.digest()).toBe(await sha256Hex(bytes));
});

function loadIn(
  kind: "dedicated" | "shared",
  folder: string,
  model: string,
  inPlace = false,
): Promise<Loaded> {
  const url = new URL("./store-worker.ts", import.meta.url);
  // A name of its own: a new shared worker, which is gone with its last port.
  const name = crypto.randomUUID();
  const worker =
    kind === "dedicated"
      ? new Worker(url, { type: "module" })
      : new SharedWorker(url, { type: "module", name });
  const port = worker instanceof Worker ? worker : worker.port;
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(`${event.message ?? "the worker did not start"}`));
    port.onmessage = ({ data: { loaded, error } }: MessageEvent) => {
      if (worker instanceof Worker) worker.terminate();
      else worker.port.close();
      if (error) reject(new Error(error));
      else resolve(loaded);
    };
    port.postMessage({ folder, model, inPlace });
  });
}
