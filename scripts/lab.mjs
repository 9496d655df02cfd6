// Serves the kernel lab's page on this machine, or runs it in headless Chromium and writes what it
// measured.
//
//   npm run lab                                             serve it; open the address it prints
//   npm run lab -- --headless --report F.html --json F.json   run it, quick, on SwiftShader
//
// onnxruntime-web stands beside ours when `npm install` has run in bench/lab.

import { createReadStream, existsSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { buildIfStale } from "./build.mjs";
import { ROOT, readState, say } from "./setup/state.mjs";

const FOLDERS = {
  "/ort/": join(ROOT, "bench", "lab", "node_modules", "onnxruntime-web", "dist"),
  "/": join(ROOT, "dist"),
};
/** @type {Record<string, string>} */
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** @param {number} port 0 for any @returns {Promise<{ url: string, close(): void }>} */
export async function serveLab(port) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://lab").pathname);
    const file = fileOf(path);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "cache-control": "no-cache",
      // Fine clocks and threads: both need an isolated page.
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    createReadStream(file).pipe(response);
  });
  await /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    })
  );
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${address.port}/lab/`, close: () => server.close() };
}

/** @param {string} path Of the URL @returns {string | undefined} */
function fileOf(path) {
  for (const [prefix, folder] of Object.entries(FOLDERS)) {
    if (!path.startsWith(prefix)) continue;
    const file = join(folder, normalize(`/${path.slice(prefix.length)}`));
    const whole = path.endsWith("/") ? join(file, "index.html") : file;
    return existsSync(whole) && statSync(whole).isFile() ? whole : undefined;
  }
  return undefined;
}

/** @param {string} url @param {Record<string, string | boolean | undefined>} values */
async function runHeadless(url, values) {
  const found = readState()?.chromium;
  if (!found) throw new Error("no Chromium was found; run npm run setup");
  const { chromium } = await import("playwright");
  const browser = await chromium.launch({
    executablePath: found.path,
    env: { ...process.env, ...found.env },
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.on("pageerror", (error) => say(`lab: ${error.message}`));
    const filter = typeof values.filter === "string" ? `&filter=${values.filter}` : "";
    await page.goto(`${url}?run${filter}`);
    await page.waitForFunction("globalThis.labResult || globalThis.labError", null, {
      timeout: 1_200_000,
      polling: 500,
    });
    const failure = await page.evaluate("globalThis.labError");
    if (failure) throw new Error(`${failure}`);
    const result = await page.evaluate("globalThis.labResult");
    if (values.screenshot) {
      await page.screenshot({ path: `${values.screenshot}`, fullPage: true });
    }
    if (values.report) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.click("[data-file=report]"),
      ]);
      await download.saveAs(`${values.report}`);
    }
    if (values.json) writeFileSync(`${values.json}`, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await browser.close();
  }
}

/** @type {import("node:util").ParseArgsConfig["options"]} */
const OPTIONS = {
  port: { type: "string" },
  headless: { type: "boolean" },
  filter: { type: "string" },
  report: { type: "string" },
  json: { type: "string" },
  screenshot: { type: "string" },
};

try {
  const { values } = parseArgs({ options: OPTIONS });
  await buildIfStale();
  const lab = await serveLab(Number(values.port ?? 0));
  if (values.headless) {
    const wanted = /** @type {Record<string, string | boolean>} */ (values);
    await runHeadless(lab.url, wanted).finally(lab.close);
  } else say(`The kernel lab is at ${lab.url} (Ctrl-C ends it)`);
} catch (error) {
  say(`lab: ${error instanceof Error ? error.message : error}`);
  process.exitCode = /** @type {{ code?: string }} */ (error).code?.startsWith("ERR_PARSE") ? 2 : 1;
}
