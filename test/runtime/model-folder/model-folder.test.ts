// What every kind of folder promises, held by each; then where each comes from.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { httpFolder } from "../../../runtime/model-folder/http-folder.ts";
import { localFolder } from "../../../runtime/model-folder/local-folder.ts";
import {
  blobFolder,
  type ModelFolder,
  readOptionalText,
  readText,
} from "../../../runtime/model-folder/model-folder.ts";
import { huggingFaceUrl, openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import { type RangeServer, rangeServer } from "../weights/range-server.ts";

const FILES = new Map<string, Uint8Array<ArrayBuffer>>([
  ["config.json", new TextEncoder().encode('\uFEFF{"a": "é"}')],
  ["sub/a file+1.txt", new TextEncoder().encode("inside")],
  ["latin1.txt", Uint8Array.of(0x61, 0xe9)],
  ["empty", new Uint8Array()],
]);

const directory = mkdtempSync(join(tmpdir(), "weft-folder-"));
let server: RangeServer;

beforeAll(async () => {
  server = await rangeServer();
  for (const [name, bytes] of FILES) {
    const path = join(directory, "model", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    server.files.set(`/models/my model/${name}`, bytes);
  }
  writeFileSync(join(directory, "secret.txt"), "outside");
  server.files.set("/models/secret.txt", new TextEncoder().encode("outside"));
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const KINDS: [string, () => ModelFolder][] = [
  ["local", () => localFolder(join(directory, "model"))],
  ["http", () => httpFolder(`${server.url}/models/my%20model?key=1`)],
  [
    "blobs",
    () => blobFolder(new Map([...FILES].map(([name, bytes]) => [name, new Blob([bytes])]))),
  ],
];

describe.each(KINDS)("%s", (_, make) => {
  test("gives text and bytes of its files", async () => {
    const folder = make();
    expect(await readText(folder, "config.json")).toBe('{"a": "é"}');
    expect(await readText(folder, "sub/a file+1.txt")).toBe("inside");
    expect(await readText(folder, "empty")).toBe("");
    const source = await folder.open("latin1.txt");
    expect(await source.read(1, 1)).toEqual(Uint8Array.of(0xe9));
    await source.close?.();
  });

  test("names a file it lacks and the layout it wants", async () => {
    const folder = make();
    await expect(readText(folder, "tokenizer.json")).rejects.toMatchObject({
      code: "file_not_found",
      message: expect.stringMatching(/ has no file tokenizer\.json; give a folder in Hugging Face/),
    });
    expect(await readOptionalText(folder, "generation_config.json")).toBeUndefined();
  });

  test("refuses text that is not UTF-8, also as an optional file", async () => {
    await expect(readOptionalText(make(), "latin1.txt")).rejects.toMatchObject({
      code: "bad_file",
    });
  });

  test.each([
    "../secret.txt",
    "sub/../../secret.txt",
    "/etc/passwd",
    "..\\secret.txt",
    "C:\\x",
    "http://127.0.0.1/x",
    "a//b",
    "./config.json",
    "a?b",
    "a%2e%2e",
    "a\u0000b",
    "",
  ])("refuses the name %j", async (name) => {
    await expect(make().open(name)).rejects.toMatchObject({ code: "bad_file" });
  });

  test("stops at the signal", async () => {
    await expect(make().open("config.json", AbortSignal.abort())).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

test("the query of a base URL is sent and not shown", async () => {
  const folder = httpFolder(`${server.url}/models/my%20model/?key=secret`);
  server.requests.length = 0;
  await expect(folder.open("nowhere")).rejects.toThrow(/^(?!.*secret)/s);
  expect(server.requests).toEqual([expect.stringMatching(/\/my%20model\/nowhere\?key=secret /)]);
});

describe("openModelFolder", () => {
  test.each([
    ["https://host/a/b", "https://host/a/b/"],
    ["HTTP://host/a/", "http://host/a/"],
    ["hf:Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B/resolve/main/"],
    ["./models/x", "local ./models/x"],
    ["C:\\models\\x", "local C:\\models\\x"],
  ])("%s", (model, location) => {
    const openLocal = (path: string) => blobFolder(new Map(), `local ${path}`);
    expect(openModelFolder(model, openLocal).location).toBe(location);
  });

  test("takes a revision", () => {
    expect(huggingFaceUrl("hf:a/b@v1.0")).toBe("https://huggingface.co/a/b/resolve/v1.0/");
  });

  test.each([
    "",
    "https://",
    "ftp://host/x",
    "hf:only-a-name",
    "hf:a/../b",
    "file:///x",
    "./local",
  ])("refuses %j where there is no file system", (model) => {
    expect(() => openModelFolder(model)).toThrow(
      expect.objectContaining({
        code: "bad_request",
        message: expect.stringMatching(/give an http\(s\) URL, hf:org\/name or, in Node, a folder/),
      }),
    );
  });
});
