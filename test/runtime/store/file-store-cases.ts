// What every file store does, wherever it keeps its files.

import { expect, test } from "vitest";
import type { FileStore } from "../../../runtime/store/file-store.ts";

const bytesOf = (text: string) => new Uint8Array(new TextEncoder().encode(text));
const textOf = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

export function fileStoreCases(open: () => FileStore): void {
  test("what is written is there, whole and in part", async () => {
    const files = open();
    expect(await files.isAvailable()).toBe(true);
    await files.write("a/b/one", bytesOf("first"));
    await files.write("a/b/two", bytesOf(""));
    await files.write("a/three", bytesOf("third"));
    expect([...(await files.files("a/b"))].sort()).toEqual([
      ["one", 5],
      ["two", 0],
    ]);
    expect(await files.folders("a")).toEqual(["b"]);
    expect(await files.folders("")).toEqual(["a"]);
    expect(textOf(await files.read("a/b/one"))).toBe("first");
    expect(textOf(await files.read("a/b/one", 1, 3))).toBe("ir");
    expect(textOf(await files.read("a/b/one", 3, 9))).toBe("st");
    expect(textOf(await files.read("a/b/two"))).toBe("");
    // Another store on the same place.
    expect(textOf(await open().read("a/three"))).toBe("third");
    await files.remove("a");
  });

  test("a file is replaced as a whole", async () => {
    const files = open();
    await files.write("a/one", bytesOf("a long first text"));
    await files.write("a/one", bytesOf("short"));
    expect(textOf(await files.read("a/one"))).toBe("short");
    expect(await files.files("a")).toEqual(new Map([["one", 5]]));
    await Promise.all([1, 2, 3, 4].map((i) => files.write("a/same", bytesOf(`${i}`.repeat(9)))));
    expect(textOf(await files.read("a/same"))).toMatch(/^(.)\1{8}$/);
    await files.remove("a");
  });

  test("what is not there is nothing, and no error", async () => {
    const files = open();
    expect(await files.read("no/where")).toBeUndefined();
    expect(await files.read("no/where", 0, 4)).toBeUndefined();
    expect(await files.files("no")).toEqual(new Map());
    expect(await files.folders("no/where")).toEqual([]);
    await files.remove("no/where");
    await files.write("a/one", bytesOf("x"));
    expect(await files.folders("a/one")).toEqual([]);
    expect(await files.read("a")).toBeUndefined();
    await files.remove("a");
    expect(await files.read("a/one")).toBeUndefined();
    expect(await files.folders("")).toEqual([]);
  });

  test("it says how much room there is", async () => {
    const estimate = await open().estimate();
    expect(estimate?.availableBytes).toBeGreaterThan(0);
  });
}
