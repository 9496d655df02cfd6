// What ranges of a file are once they come of different versions of it, and what is sent with a request.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { digestField } from "../../../runtime/weights/file-version.ts";
import { openHttp } from "../../../runtime/weights/http-source.ts";
import { RangeClient } from "../../../runtime/weights/range-client.ts";
import { ModelServer } from "../store/model-server.ts";
import { noise } from "../store/small-model.ts";

const BYTES = noise(200_000, 1);

let server: ModelServer;
beforeEach(async () => {
  server = new ModelServer();
  await server.start();
  server.serve("", { file: BYTES });
});
afterEach(() => server.stop());

const options = { retryDelayMs: 1, stallMs: 300 };
const url = () => `${server.url}/file`;

describe("a file of the same size with another ETag", () => {
  test.each([
    ["that the server tells, having been asked", false],
    ["that it sends all the same", true],
  ])("%s, is another file", async (_, ignoresConditions) => {
    server.ignoresConditions = ignoresConditions;
    const source = await openHttp(url(), options);
    server.serve("", { file: noise(200_000, 2) });
    await expect(source.read(100_000, 10)).rejects.toMatchObject({
      code: "file_changed",
      message: expect.stringMatching(/its ETag was "\w+" and now is "\w+"; load it again/),
    });
  });

  test("also where the first part of a range has come", async () => {
    server.ignoresConditions = true;
    const client = new RangeClient(url(), options);
    let numAsked = 0;
    server.fault = () => {
      if (++numAsked > 1) return undefined;
      setTimeout(() => server.serve("", { file: noise(200_000, 2) }), 0);
      return { cutAfter: 50_000 };
    };
    const getting = client.get({ offset: 0, length: 200_000 });
    await expect(getting).rejects.toMatchObject({ code: "file_changed" });
  });
});

test("a cut range goes on where it was cut, and its bytes are told as they come", async () => {
  const client = new RangeClient(url(), { ...options, headers: { "X-Key": "k" } });
  const cuts = [70_000, 30_000];
  server.fault = () => (cuts.length > 0 ? { cutAfter: cuts.shift()! } : undefined);
  let told = 0;
  const { bytes, version } = await client.get({
    ...{ offset: 1000, length: 150_000 },
    onBytes: (count) => {
      told += count;
    },
  });
  expect(Buffer.compare(bytes, BYTES.subarray(1000, 151_000))).toBe(0);
  expect(told).toBe(150_000);
  expect(version.sizeBytes).toBe(200_000);
  const begins = server.asked.map(({ range }) => Number(/\d+/.exec(range!)![0]));
  expect(begins[0]).toBe(1000);
  expect(begins).toEqual([...begins].sort((a, b) => a - b));
  expect(server.asked.map(({ headers }) => headers["x-key"])).toEqual(["k", "k", "k"]);
  // Once the version is known, it is asked for.
  expect(server.asked.map(({ headers }) => headers["if-range"] === version.etag)).toEqual([
    ...[false, true, true],
  ]);
});

test("a page asks other origins for nothing that needs their leave", async () => {
  vi.stubGlobal("location", { origin: "https://elsewhere.example" });
  try {
    const source = await openHttp(url(), options);
    await source.read(100_000, 10);
    expect(server.asked.map(({ headers }) => headers["if-range"])).toEqual([undefined, undefined]);
    // What comes is compared all the same.
    server.serve("", { file: noise(200_000, 2) });
    await expect(source.read(100_000, 10)).rejects.toMatchObject({ code: "file_changed" });
  } finally {
    vi.unstubAllGlobals();
  }
});

test("a digest is read out of a field with others", () => {
  const base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
  const hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(digestField(`sha-512=:AAAA:, sha-256=:${base64}:`)).toBe(hex);
  expect(digestField(`sha-256=:${base64}:`)).toBe(hex);
  for (const odd of [null, "", "sha-256=abc", `sha-256=:${base64.slice(4)}:`, "md5=:AAAA:"]) {
    expect(digestField(odd)).toBeUndefined();
  }
});
