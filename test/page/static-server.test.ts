// What the page is served by: whole files, ranges, unchanged files, and nothing beside its folders.

import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveFolders } from "../../scripts/static-server.mjs";

const FOLDER = join(import.meta.dirname, "..", "..", "assets", "demo");
let server: Awaited<ReturnType<typeof serveFolders>>;

beforeAll(async () => {
  server = await serveFolders({ "/models/demo/": FOLDER }, 0);
});
afterAll(() => server.close());

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${server.origin}/models/demo/${path}`, { headers });

test("a range is a part of the file, from either end", async () => {
  const whole = await (await get("config.json")).text();
  const ranges = [
    ["bytes=0-9", 0, 10],
    ["bytes=10-", 10, undefined],
    ["bytes=-7", -7, undefined],
    [`bytes=5-${whole.length + 99}`, 5, undefined],
  ] as const;
  for (const [range, from, to] of ranges) {
    const part = await get("config.json", { range });
    expect(part.status).toBe(206);
    expect(await part.text()).toBe(whole.slice(from, to));
    expect(part.headers.get("content-range")).toMatch(
      new RegExp(`^bytes \\d+-\\d+/${whole.length}$`),
    );
  }
  expect((await get("config.json", { range: `bytes=${whole.length}-` })).status).toBe(416);
  expect((await get("config.json", { range: "lines=1-2" })).status).toBe(200);
});

test("an ETag tells whether a file is still the same", async () => {
  const etag = (await get("config.json")).headers.get("etag")!;
  expect((await get("config.json", { "if-none-match": etag })).status).toBe(304);
  expect((await get("config.json", { range: "bytes=0-1", "if-range": etag })).status).toBe(206);
  // Of another version a part would be wrong.
  expect((await get("config.json", { range: "bytes=0-1", "if-range": '"old"' })).status).toBe(200);
});

test("nothing else is served", async () => {
  expect((await get("absent.json")).status).toBe(404);
  expect((await fetch(`${server.origin}/package.json`)).status).toBe(404);
  for (const path of [
    "/models/demo/../../package.json",
    "/models/demo/%2e%2e/demo-moe/config.json",
  ])
    expect(await rawStatus(path)).toBe(404);
  expect(await rawStatus("/models/demo/%")).toBe(404);
  expect((await fetch(`${server.origin}/models/demo/config.json`, { method: "POST" })).status).toBe(
    405,
  );
});

/** `fetch` would tidy the path. */
const rawStatus = (path: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    const { hostname, port } = new URL(server.origin);
    request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
