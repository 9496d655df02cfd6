// What the store promises while nothing is out of order, and what it asks of the server.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { MemoryFiles } from "./memory-files.ts";
import { ModelServer } from "./model-server.ts";
import { noise, PART_BYTES, shardedModel, singleModel } from "./small-model.ts";

let server: ModelServer;
let files: MemoryFiles;
let store: ModelStore;
beforeEach(async () => {
  server = new ModelServer();
  await server.start();
  files = new MemoryFiles();
  store = storeOn(files);
});
afterEach(() => server.stop());

const storeOn = (on: MemoryFiles) =>
  new ModelStore(on, { partBytes: PART_BYTES, retryDelayMs: 1, stallMs: 3000 });

async function read(folder: ModelFolder, name: string): Promise<Uint8Array> {
  const source = await folder.open(name);
  return source.read(0, source.sizeBytes);
}

async function expectFiles(
  folder: ModelFolder,
  model: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  for (const [name, content] of Object.entries(model)) {
    const bytes = await read(folder, name);
    expect(Buffer.compare(bytes, Buffer.from(content as Uint8Array)), name).toBe(0);
  }
}

describe("a model", () => {
  test("is downloaded once, and then only asked after", async () => {
    const model = shardedModel();
    server.serve("/m", model);
    const progress: LoadProgress[] = [];
    const onProgress = (step: LoadProgress) => void progress.push(step);
    await expectFiles(await store.open(`${server.url}/m`, { onProgress }), model);
    const sizeBytes = Object.values(model).reduce(
      (sum, each) => sum + Buffer.byteLength(each as string),
      0,
    );
    expect(progress.at(-1)).toMatchObject({
      phase: "download",
      loadedBytes: sizeBytes,
      totalBytes: sizeBytes,
    });

    const [sent, asked] = [server.sentBytes, server.asked.length];
    await expectFiles(await store.open(`${server.url}/m/`), model);
    expect(server.sentBytes - sent).toBeLessThan(40);
    // Five files, and seven that the server does not have.
    expect(server.asked.slice(asked).map(({ range }) => range)).toEqual(
      Array(12).fill("bytes=0-1"),
    );
    expect(files.persisted).toBe(1);
  });

  test("is loaded without its server, which is asked for nothing", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await store.download(`${server.url}/m`);
    await server.stop();
    const folder = await storeOn(files).open(`${server.url}/m`);
    await expectFiles(folder, model);
    await expect(folder.open("chat_template.jinja")).rejects.toMatchObject({
      code: "file_not_found",
    });
    await expect(folder.open("../x")).rejects.toMatchObject({ code: "bad_file" });
  });

  test("is listed, with its versions side by side, and removed", async () => {
    const url = `${server.url}/m`;
    server.serve("/m", singleModel(1));
    const first = await store.download(`${url}?token=secret`);
    server.serve("/m", { "config.json": "{}" });
    const second = await store.download(url);
    expect(second.version).not.toBe(first.version);
    expect(await store.list()).toEqual([
      { model: `${url}/`, location: `${url}/`, versions: [second, first], partialBytes: 0 },
    ]);
    // The weights are the same file.
    expect(files.usedBytes).toBeLessThan(first.sizeBytes + 5_000);
    expect(JSON.stringify([...files.contents.values()].map(String))).not.toContain("secret");

    // The server goes back to what it had.
    server.serve("/m", singleModel(1));
    await expectFiles(await store.open(url), singleModel(1));
    expect((await store.list())[0].versions).toHaveLength(2);

    await store.remove(url, first.version);
    expect((await store.list())[0].versions).toEqual([second]);
    await server.stop();
    await expectFiles(await store.open(url), {
      "model.safetensors": singleModel(1)["model.safetensors"],
    });
    await store.remove(url);
    expect(await store.list()).toEqual([]);
    expect(files.contents.size).toBe(0);
  });

  test("has another version when a file is added or taken away", async () => {
    const url = `${server.url}/m`;
    server.serve("/m", singleModel());
    const { version } = await store.download(url);
    server.serve("/m", { "chat_template.jinja": "hello" });
    expect((await store.download(url)).version).not.toBe(version);
    await expectFiles(await store.open(url), { "chat_template.jinja": "hello" });
    server.files.delete("/m/chat_template.jinja");
    expect((await store.download(url)).version).toBe(version);
  });

  test("may be one GGUF file", async () => {
    const bytes = noise(3 * PART_BYTES, 1);
    server.serve("", { "m.gguf": bytes });
    const { files: names, sizeBytes } = await store.download(`${server.url}/m.gguf`);
    expect([names, sizeBytes]).toEqual([[""], bytes.length]);
    const opened = (await store.open(`${server.url}/m.gguf`)).open("config.json");
    await expect(opened).rejects.toMatchObject({ code: "bad_gguf" });
  });

  test("that is not there is refused, and leaves nothing", async () => {
    await expect(store.download(`${server.url}/m`)).rejects.toMatchObject({
      code: "file_not_found",
      message: expect.stringContaining("/m/ has no file config.json"),
    });
    server.serve("/m", { "config.json": "{}" });
    await expect(store.download(`${server.url}/m`)).rejects.toThrow(
      /neither model.safetensors nor/,
    );
    await expect(store.download(`${server.url}/m.gguf`)).rejects.toMatchObject({
      code: "file_not_found",
    });
    await expect(store.download("./folder")).rejects.toMatchObject({ code: "bad_request" });
    expect(await store.list()).toEqual([]);
    expect(files.contents.size).toBe(0);
  });

  test("can be refused before its weights come", async () => {
    server.serve("/m", singleModel());
    const beforeDownload = async (folder: ModelFolder) => {
      expect((await read(folder, "config.json")).length).toBeGreaterThan(0);
      throw new Error("not this one");
    };
    const opening = store.open(`${server.url}/m`, { beforeDownload });
    await expect(opening).rejects.toThrow("not this one");
    expect(await store.list()).toEqual([]);
  });
});

describe("two who want the same model at once", () => {
  test("download it once", async () => {
    const model = shardedModel();
    server.serve("/m", model);
    const opened = await Promise.all([1, 2, 3].map(() => store.open(`${server.url}/m`)));
    for (const folder of opened) await expectFiles(folder, model);
    const sizeBytes = Object.values(model).reduce(
      (sum, each) => sum + Buffer.byteLength(each as string),
      0,
    );
    expect(server.sentBytes).toBeLessThan(1.6 * sizeBytes);
    expect((await store.list())[0].versions).toHaveLength(1);
  });

  test("and who waits can go", async () => {
    server.serve("/m", singleModel());
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = store.open(`${server.url}/m`, { beforeDownload: () => held });
    await expect.poll(() => server.asked.length).toBe(0);
    const { signal } = new AbortController();
    const second = store.open(`${server.url}/m`, { signal: AbortSignal.timeout(30) });
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    expect(signal.aborted).toBe(false);
    release();
    await first;
  });
});

describe("a hub", () => {
  const token = "hf_abc";

  test("gives models by name, with a token for itself alone", async () => {
    const model = singleModel();
    const other = new ModelServer();
    await other.start();
    try {
      other.serve("/cdn", model);
      server.serve("/org/name/resolve/v1%2Fx", { "config.json": model["config.json"] });
      server.files.set(
        "/org/name/resolve/v1/x/config.json",
        server.files.get("/org/name/resolve/v1%2Fx/config.json")!,
      );
      server.redirects.set(
        "/org/name/resolve/v1/x/model.safetensors",
        `${other.url}/cdn/model.safetensors`,
      );
      const hub = { baseUrl: server.url, token };
      await expectFiles(await store.open("hf:org/name@v1/x", { hub }), model);
      expect((await store.list())[0].model).toBe("hf:org/name@v1/x");
      const ours = server.asked.map(({ headers }) => headers.authorization);
      expect(new Set(ours)).toEqual(new Set([`Bearer ${token}`]));
      expect(other.asked.length).toBeGreaterThan(0);
      expect(other.asked.filter(({ headers }) => headers.authorization)).toEqual([]);
      other.asked.length = 0;
      const elsewhere = store.open(`${other.url}/cdn`, { hub });
      await elsewhere;
      expect(other.asked.filter(({ headers }) => headers.authorization)).toEqual([]);
    } finally {
      await other.stop();
    }
  });

  test("says no without showing the token", async () => {
    server.fault = () => ({ status: 401 });
    const hub = { baseUrl: server.url, token };
    const error = await store.open("hf:org/name", { hub }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "read_failed",
      message: expect.stringMatching(/hub: \{ token/),
    });
    expect(String(error)).not.toContain(token);
    const odd = store.open("hf:org/name", { hub: { token: "hf_abc\n" } });
    await expect(odd).rejects.toMatchObject({
      code: "bad_request",
      message: expect.not.stringContaining("hf_abc"),
    });
    await expect(store.open("hf:a/b", { hub: { baseUrl: "ftp://x" } })).rejects.toMatchObject({
      code: "bad_request",
    });
  });

  test("is not asked after a commit, whose files cannot change", async () => {
    const revision = "0123456789abcdef0123456789abcdef01234567";
    server.serve(`/o/n/resolve/${revision}`, singleModel());
    const hub = { baseUrl: server.url };
    await store.open(`hf:o/n@${revision}`, { hub });
    server.asked.length = 0;
    await expectFiles(await store.open(`hf:o/n@${revision}`, { hub }), singleModel());
    expect(server.asked).toEqual([]);
  });

  test("lists the hashes of large files, which are compared", async () => {
    const model = singleModel();
    server.serve("/o/n/resolve/main", model);
    const digest = new Uint8Array(
      await crypto.subtle.digest("SHA-256", model["model.safetensors"] as Uint8Array<ArrayBuffer>),
    );
    const oid = Buffer.from(digest).toString("hex");
    const list = (sha256: string) =>
      JSON.stringify([
        { path: "config.json" },
        { path: "model.safetensors", lfs: { oid: sha256 } },
      ]);
    const hub = { baseUrl: server.url };
    server.serve("/api/models/o/n/tree", { main: list("0".repeat(64)) });
    await expect(store.download("hf:o/n", { hub })).rejects.toMatchObject({ code: "file_corrupt" });
    server.serve("/api/models/o/n/tree", { main: list(oid) });
    await store.download("hf:o/n", { hub });
    // The caller's hash counts more; a version that another hash was compared with stays.
    const given = { "model.safetensors": "1".repeat(64) };
    const wrong = store.download("hf:o/n", { hub, sha256: given });
    await expect(wrong).rejects.toMatchObject({ code: "file_corrupt" });
    await store.download("hf:o/n", { hub, sha256: { "model.safetensors": oid } });
    const odd = store.download("hf:o/n", { hub, sha256: { "model.safetensors": "abc" } });
    await expect(odd).rejects.toMatchObject({ code: "bad_request" });
    expect((await store.list())[0].versions).toHaveLength(1);
  });
});
