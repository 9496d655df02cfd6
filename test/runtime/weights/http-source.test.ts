import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openHttp } from "../../../runtime/weights/http-source.ts";
import { type RangeServer, rangeServer } from "./range-server.ts";

const SMALL = Uint8Array.from({ length: 1000 }, (_, i) => i);
const LARGE = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7 + (i >> 8));
/** Above what a server without ranges may send whole. */
const HUGE = new Uint8Array(64 * 1024 * 1024 + 1);

let server: RangeServer;
beforeAll(async () => {
  server = await rangeServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.faults = [];
  server.requests.length = 0;
  server.files.clear();
  server.files.set("/small", SMALL).set("/large", LARGE).set("/huge", HUGE);
  server.files.set("/empty", new Uint8Array());
});

// vitest compares byte by byte in a tree of values, which takes seconds here.
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const open = (path: string, signal?: AbortSignal) =>
  openHttp(server.url + path, { retryDelayMs: 1, stallMs: 300, signal });

describe("a server with ranges", () => {
  test("gives any part, and a small file in one request", async () => {
    const small = await open("/small");
    expect(small.sizeBytes).toBe(1000);
    expect(same(await small.read(0, 1000), SMALL)).toBe(true);
    expect(same(await small.read(990, 10), SMALL.slice(990))).toBe(true);
    expect(server.requests).toHaveLength(1);

    const large = await open("/large");
    expect(large.sizeBytes).toBe(LARGE.length);
    expect(same(await large.read(65_530, 200_000), LARGE.slice(65_530, 265_530))).toBe(true);
    expect(same(await large.read(299_999, 1), LARGE.slice(299_999))).toBe(true);
    expect(await large.read(300_000, 0)).toEqual(new Uint8Array());
    expect(server.requests.slice(2)).toEqual([
      "GET /large bytes=65530-265529",
      "GET /large bytes=299999-299999",
    ]);
  });

  test("gives an empty file", async () => {
    const empty = await open("/empty");
    expect(empty.sizeBytes).toBe(0);
    expect(await empty.read(0, 0)).toEqual(new Uint8Array());
  });

  test("is not asked for bytes outside the file", async () => {
    const large = await open("/large");
    for (const [offset, length] of [
      [299_999, 2],
      [-1, 4],
      [0.5, 1],
      [0, 2 ** 60],
    ]) {
      await expect(large.read(offset, length)).rejects.toMatchObject({ code: "file_truncated" });
    }
    expect(server.requests).toHaveLength(1);
  });
});

describe("transient faults are tried again", () => {
  test.each([
    ["503, then fine", [{ status: 503 }, { status: 429 }]],
    ["a connection cut in the body", [{ cutAfter: 100 }, { cutAfter: 0 }]],
    ["a transfer that stalls", ["stall"]],
  ] as const)("%s", async (_, faults) => {
    const source = await open("/large");
    server.faults = [...faults];
    expect(same(await source.read(100_000, 150_000), LARGE.slice(100_000, 250_000))).toBe(true);
    expect(server.requests).toHaveLength(faults.length + 2);

    server.faults = [...faults];
    expect((await open("/large")).sizeBytes).toBe(LARGE.length);
  });

  test("four times, then the last reason is told", async () => {
    server.faults = Array(9).fill({ status: 503 });
    await expect(open("/large")).rejects.toMatchObject({
      code: "read_failed",
      message: expect.stringMatching(/answered 503.*\(4 attempts\); check the address/),
    });
    expect(server.requests).toHaveLength(4);
    server.faults = Array(4).fill("stall");
    await expect(open("/large")).rejects.toThrow(/no byte came for 300 ms/);
  });

  test("so is a server that is not there", async () => {
    const error = await openHttp("http://127.0.0.1:9/x", { retryDelayMs: 1 }).catch((e) => e);
    expect(error).toMatchObject({ code: "read_failed" });
    expect(error.message).toMatch(/4 attempts/);
  });
});

describe("a server without ranges", () => {
  test.each(["whole", "chunked"] as const)("may send a small file (%s)", async (fault) => {
    server.faults = [fault];
    const source = await open("/large");
    expect(source.sizeBytes).toBe(LARGE.length);
    expect(same(await source.read(100_000, 200_000), LARGE.slice(100_000))).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  test.each(["whole", "chunked"] as const)("is refused for a large one (%s)", async (fault) => {
    server.faults = [fault];
    await expect(open("/huge")).rejects.toMatchObject({
      code: "ranges_unsupported",
      message: expect.stringMatching(/ignored Range .* 64 MiB; serve the model with a server/),
    });
    expect(server.requests).toHaveLength(1);
  });

  test("half-way through is a change of the file", async () => {
    const source = await open("/large");
    server.faults = ["whole"];
    await expect(source.read(100_000, 100)).rejects.toMatchObject({ code: "file_changed" });
  });
});

describe("lies and refusals", () => {
  test("404 and 403 are told apart and not tried again", async () => {
    await expect(open("/nowhere")).rejects.toMatchObject({ code: "file_not_found" });
    server.faults = [{ status: 403 }];
    await expect(open("/large")).rejects.toMatchObject({
      code: "read_failed",
      message: expect.stringMatching(/403 Forbidden; the model may need a login/),
    });
    expect(server.requests).toHaveLength(2);
  });

  test("a site's page is no file of a model", async () => {
    server.faults = ["page"];
    await expect(open("/nowhere")).rejects.toMatchObject({
      code: "file_not_found",
      message: expect.stringMatching(/nowhere: the server answered with a page; check the address/),
    });
  });

  test("a hidden Content-Range names the CORS header", async () => {
    server.faults = [{ contentRange: null }];
    await expect(open("/large")).rejects.toMatchObject({
      code: "ranges_unsupported",
      message: expect.stringMatching(/\(none\).*Access-Control-Expose-Headers/),
    });
  });

  test.each([
    ["another part", "bytes 0-99/300000", "ranges_unsupported"],
    ["another size", "bytes 100000-100099/300001", "file_changed"],
    ["nonsense", "bytes 100000-100099/*", "ranges_unsupported"],
  ])("a Content-Range of %s is refused", async (_, contentRange, code) => {
    const source = await open("/large");
    server.faults = [{ contentRange }];
    await expect(source.read(100_000, 100)).rejects.toMatchObject({ code });
  });

  test("a file that shrank is a change", async () => {
    const source = await open("/large");
    server.files.set("/large", SMALL);
    await expect(source.read(100_000, 100)).rejects.toMatchObject({ code: "file_changed" });
  });

  test("the query of the URL stays out of messages", async () => {
    await expect(open("/nowhere?token=secret")).rejects.toThrow(/^(?!.*secret)/s);
  });
});

describe("abort", () => {
  test.each([
    ["a transfer", "stall"],
    ["a pause between attempts", { status: 503 }],
  ] as const)("ends %s", async (_, fault) => {
    const source = await openHttp(`${server.url}/large`, { retryDelayMs: 60_000 });
    const abort = new AbortController();
    server.faults = [fault];
    const reading = source.read(100_000, 100, abort.signal);
    setTimeout(() => abort.abort(new Error("changed my mind")), 50);
    await expect(reading).rejects.toMatchObject({
      code: "aborted",
      message: "aborted by the caller: changed my mind",
    });
  });

  test("is seen before anything is asked", async () => {
    const source = await open("/small");
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    await expect(open("/small", AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    expect(server.requests).toHaveLength(1);
  });
});
