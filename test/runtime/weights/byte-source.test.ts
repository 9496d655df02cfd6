// What every byte source promises, held by each; files and blobs here, servers in http-source.

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { blobSource } from "../../../runtime/weights/byte-source.ts";
import { openFile } from "../../../runtime/weights/file-source.ts";

const BYTES = Uint8Array.from({ length: 5000 }, (_, i) => i * 3);
const folder = mkdtempSync(join(tmpdir(), "weft-byte-source-"));
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, BYTES);
  return path;
}

describe.each([
  ["file", () => openFile(written("bytes"))],
  ["blob", async () => blobSource(new Blob([BYTES]), "bytes")],
])("%s", (_, open) => {
  test("reads any part", async () => {
    const source = await open();
    expect(source.sizeBytes).toBe(5000);
    expect(await source.read(0, 5000)).toEqual(BYTES);
    expect(await source.read(4990, 10)).toEqual(BYTES.slice(4990));
    expect(await source.read(5000, 0)).toEqual(new Uint8Array());
    await source.close?.();
  });

  test("refuses what lies outside, and an aborted signal", async () => {
    const source = await open();
    for (const [offset, length] of [
      [4999, 2],
      [-1, 2],
      [0.5, 1],
      [0, Number.NaN],
      [0, 2 ** 60],
    ]) {
      await expect(source.read(offset, length)).rejects.toMatchObject({ code: "file_truncated" });
    }
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    await source.close?.();
  });
});

describe("file", () => {
  test("names a path that is not there, or no file", async () => {
    const path = join(folder, "nowhere");
    await expect(openFile(path)).rejects.toMatchObject({ code: "file_not_found" });
    await expect(openFile(join(written("bytes"), "x"))).rejects.toMatchObject({
      code: "file_not_found",
    });
    await expect(openFile(folder)).rejects.toThrow(/is not a regular file/);
  });

  test("notices that the file was cut after it was opened", async () => {
    const path = written("cut");
    const source = await openFile(path);
    truncateSync(path, 100);
    await expect(source.read(50, 100)).rejects.toMatchObject({ code: "file_changed" });
    await source.close?.();
  });
});
