// What the example's own scheme answers: whole files, ranges, and nothing that lies outside.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appFiles } from "../../apps/electron/app-files.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-app-files-"));
const handle = appFiles({ "/models/": join(folder, "models"), "/": join(folder, "app") });

beforeAll(() => {
  for (const name of ["app", "models", "app-secret"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "app", "a page.html"), "<p>page</p>");
  writeFileSync(join(folder, "models", "weights"), "0123456789");
  writeFileSync(join(folder, "models", "empty"), "");
  writeFileSync(join(folder, "app-secret", "key"), "secret");
});
afterAll(() => rmSync(folder, { recursive: true }));

async function get(path: string, range?: string) {
  const url = `app://weft${path}`;
  const { status, headers, body } = await handle(
    new Request(url, { headers: range ? { range } : {} }),
  );
  const text = body ? await new Response(body).text() : "";
  return { status, text, range: headers.get("content-range"), type: headers.get("content-type") };
}

test("whole files, by the folder of their prefix, with the type of their name", async () => {
  const html = { status: 200, text: "<p>page</p>", type: "text/html; charset=utf-8" };
  expect(await get("/a%20page.html")).toMatchObject(html);
  expect(await get("/models/weights")).toMatchObject({ status: 200, text: "0123456789" });
  expect(await get("/models/empty")).toMatchObject({ status: 200, text: "" });
});

test.each([
  ["bytes=2-4", 206, "234", "bytes 2-4/10"],
  ["bytes=7-", 206, "789", "bytes 7-9/10"],
  ["bytes=0-99", 206, "0123456789", "bytes 0-9/10"],
  ["bytes=10-", 416, "", "bytes */10"],
  ["bytes=4-2", 416, "", "bytes */10"],
  ["lines=1-2", 200, "0123456789", null],
])("%s", async (asked, status, text, range) => {
  expect(await get("/models/weights", asked)).toMatchObject({ status, text, range });
});

test.each([
  ...["/none", "/models", "/models/", "/", "/..%2Fapp-secret/key", "/models/..%2F..%2Fetc/passwd"],
  ...["/%2e%2e/app-secret/key", "/models/weights%00", "/%E0%A4%A"],
])("%s is not there", async (path) => {
  expect(await get(path)).toMatchObject({ status: 404, text: "" });
});
