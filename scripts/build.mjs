// Bundles the public doors and the command line into dist/ with esbuild: ESM, shared chunks,
// packages left external. The workers' script is build/worker.mjs's.
//
//   npm run build    the bundles, and the type declarations for publishing

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT, say } from "./setup/state.mjs";

const DIST = join(ROOT, "dist");
/** Written last: a build that was cut short is stale. */
const STAMP = join(DIST, ".built");

/** Bundle name -> source. The package's `exports`, and its `bin`, `cli`. */
const ENTRIES = {
  index: "index.ts",
  worker: "worker.ts",
  node: "node.ts",
  server: "server.ts",
  "server-in-page": "server-in-page.ts",
  "ai-sdk": "ai-sdk.ts",
  "prompt-api": "prompt-api.ts",
  kernels: "kernels/index.ts",
  scheduler: "scheduler/index.ts",
  cli: "apps/cli/main.ts",
  // The constraints' thread, which dist/chunks/ and the doors start.
  "constraint-thread": "runtime/constraint/constraint-thread.ts",
};
/** Pages, each a folder of apps/ and of dist/. The lab's loads gpu.js only when it is asked to compare. */
const PAGES = {
  lab: { entryPoints: ["page.ts"], files: ["index.html", "lab.css"] },
  page: { entryPoints: ["page.ts", "page.css"], files: ["index.html"] },
};
const SOURCES = [
  "kernels",
  "scheduler",
  "models",
  "runtime",
  "apps",
  "index.ts",
  "node.ts",
  "server.ts",
  "server-in-page.ts",
  "worker.ts",
  "engine-worker.ts",
  "ai-sdk.ts",
  "prompt-api.ts",
];

/** Bundle unless dist/ is newer than every source. @throws esbuild's errors, already printed */
export async function buildIfStale() {
  const built = modified(STAMP);
  const inputs = [...SOURCES, "package-lock.json", "scripts/build.mjs", "scripts/build"].map(
    (path) => join(ROOT, path),
  );
  if (Math.max(...inputs.map(newest)) >= built) await bundle();
}

async function bundle() {
  const { build } = await import("esbuild");
  const common = /** @type {const} */ ({
    absWorkingDir: ROOT,
    write: false,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    chunkNames: "chunks/[name]-[hash]",
    sourcemap: true,
    logLevel: "warning",
  });
  const doors = await build({
    ...common,
    entryPoints: ENTRIES,
    outdir: DIST,
    // Neither node nor browser: the same bundle runs in both, and node:* is imported only there.
    platform: "neutral",
    external: ["node:*"],
    packages: "external",
  });
  // Imported late, as all packages are: this script is read before they are installed.
  const { buildWorker } = await import("./build/worker.mjs");
  const worker = await buildWorker();
  const constraints = await build({
    ...common,
    entryPoints: { "constraint-worker": "runtime/constraint/constraint-worker.ts" },
    outdir: DIST,
    chunkNames: "constraint-[name]-[hash]",
    sourcemap: false,
    minify: true,
    platform: "browser",
  });
  // Beside whatever starts it: the engine's worker, and the doors' own chunks.
  const scripts = ["worker", "chunks", "page/worker"].flatMap((place) =>
    constraints.outputFiles.map(({ path, contents }) => ({
      path: join(DIST, place, basename(path)),
      contents,
    })),
  );
  // A door whose code others share is a chunk, and looks for the engine's script beside it.
  const path = join(DIST, "chunks", "engine-worker.js");
  scripts.push({ path, contents: Buffer.from('import "../engine-worker.js";\n') });
  const pages = await Promise.all(
    Object.entries(PAGES).map(async ([name, { entryPoints, files }]) => {
      const { outputFiles } = await build({
        ...common,
        entryPoints: entryPoints.map((file) => `apps/${name}/${file}`),
        outdir: join(DIST, name),
        platform: "browser",
      });
      const copies = files.map((file) => ({
        path: join(DIST, name, file),
        contents: readFileSync(join(ROOT, "apps", name, file)),
      }));
      return [...outputFiles, ...copies];
    }),
  );
  // The demo page has its own, beside its script, where `weft-llm/worker` looks for it.
  const workers = ["", "page"].flatMap((place) =>
    worker.map(({ name, text }) => ({ path: join(DIST, place, name), contents: text })),
  );
  replaceFiles([...doors.outputFiles, ...pages.flat(), ...workers, ...scripts]);
  writeFileSync(STAMP, "");
}

/**
 * Each file is renamed into place and old ones go last: two builds, or a build and a start, may
 * run at the same time.
 * @param {{ path: string, contents: Uint8Array | string }[]} files
 */
function replaceFiles(files) {
  for (const { path, contents } of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.${process.pid}`, contents);
    renameSync(`${path}.${process.pid}`, path);
  }
  const current = new Set(files.map(({ path }) => path));
  const places = ["", ...Object.keys(PAGES)];
  const folders = places.flatMap((name) =>
    ["", "chunks", "worker"].map((folder) => join(DIST, name, folder)),
  );
  for (const folder of folders.filter((path) => existsSync(path))) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isFile() && /\.(js|css)(\.map)?$/.test(path) && !current.has(path))
        rmSync(path, { force: true });
    }
  }
}

/** Latest change of a file, or of anything in a folder; a folder's own time shows deletions. @param {string} path @returns {number} */
function newest(path) {
  const own = modified(path);
  if (own === 0 || /\.(ts|json|mjs|html|css)$/.test(path)) return own;
  const inside = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || /\.(ts|mjs|html|css)$/.test(entry.name))
    .map((entry) => newest(join(path, entry.name)));
  return Math.max(own, ...inside);
}

/** @param {string} path Milliseconds; 0 when there is no such file */
function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await bundle();
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const types = spawnSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], {
      cwd: ROOT,
      stdio: "inherit",
    });
    process.exitCode = types.status ?? 1;
  } catch (error) {
    say(`build: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
