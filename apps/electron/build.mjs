// Bundles the example into dist/: two scripts of Node, two pages, and their preload.
//
//   node apps/electron/build.mjs

import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = import.meta.dirname;

/** @param {string} outdir Is emptied first. @throws esbuild's errors, already printed */
export async function buildExample(outdir = join(HERE, "dist")) {
  const { build } = await import("esbuild");
  rmSync(outdir, { recursive: true, force: true });
  const common = /** @type {const} */ ({
    absWorkingDir: HERE,
    outdir,
    bundle: true,
    target: "es2022",
    sourcemap: true,
    logLevel: "warning",
  });
  await Promise.all([
    // Dawn is a binary, and only the utility process loads it.
    build({
      ...common,
      entryPoints: ["main.ts", "utility.ts"],
      platform: "node",
      format: "esm",
      external: ["electron", "webgpu"],
    }),
    build({
      ...common,
      entryPoints: ["host-page.ts", "window.ts"],
      platform: "browser",
      format: "esm",
      splitting: true,
      chunkNames: "chunks/[name]-[hash]",
    }),
    // The preload of a sandboxed window cannot be a module.
    build({
      ...common,
      entryPoints: ["preload.ts"],
      platform: "node",
      format: "cjs",
      outExtension: { ".js": ".cjs" },
      external: ["electron"],
    }),
  ]);
  for (const page of ["host.html", "window.html"])
    copyFileSync(join(HERE, page), join(outdir, page));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildExample().catch(() => {
    process.exitCode = 1;
  });
}
