// Bundles the script of the workers: a core that every model needs, the packages that the core needs, which
// change less often, and a file for each thing that few models or pages need, imported when one does.

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT } from "../setup/state.mjs";
import { wgslPlugin } from "./wgsl.mjs";

const ENTRY = join(ROOT, "engine-worker.ts");

/**
 * The script imports the core, and so do the other files: never the script, which serves a worker once
 * it runs. Workers know no import maps, so packages are brought along.
 * @returns {Promise<{ name: string, text: string, imports: readonly string[] }[]>} Names below dist/.
 */
export async function buildWorker() {
  const { rolldown } = await import("rolldown");
  const bundle = await rolldown({
    cwd: ROOT,
    input: { "engine-worker": ENTRY },
    platform: "browser",
    transform: { target: "es2022" },
    preserveEntrySignatures: false,
    plugins: [wgslPlugin],
    // Some parts are reached without import() too, in doors that are not these.
    checks: { ineffectiveDynamicImport: false, bundlerTimings: false },
  });
  /** @type {Set<string> | undefined} */
  let core;
  const { output } = await bundle.generate({
    format: "es",
    minify: true,
    chunkFileNames: "worker/[name]-[hash:8].js",
    hashCharacters: "hex",
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [
        {
          debugName: "core",
          // What the script imports, directly or not.
          name(id, modules) {
            core ??= reachable(ENTRY, (of) => modules.getModuleInfo(of)?.importedIds ?? []);
            if (!core.has(id) || id === ENTRY) return null;
            return id.includes("node_modules") ? "packages" : "core";
          },
        },
      ],
    },
  });
  await bundle.close();
  return output.flatMap((file) =>
    file.type === "chunk" ? [{ name: file.fileName, text: file.code, imports: file.imports }] : [],
  );
}

/** @param {string} from @param {(id: string) => readonly string[]} next */
function reachable(from, next) {
  const found = new Set([from]);
  for (const id of found) for (const other of next(id)) found.add(other);
  return found;
}

/**
 * What a page downloads to run a model that needs these parts: the script, the core and they, in bytes by gzip.
 * @param {Awaited<ReturnType<typeof buildWorker>>} files @param {readonly string[]} parts e.g. `qwen3`
 * @param {{ packages: boolean }} options Whether they count
 */
export function downloadBytes(files, parts, { packages }) {
  const without = packages ? "none" : "worker/packages-";
  const byName = new Map(files.map((file) => [file.name, file]));
  const named = parts.map((part) => {
    const file = files.find(({ name }) => name.replace(/-[^-.]+\.js$/, "") === `worker/${part}`);
    if (!file) throw new Error(`the workers' script has no part ${part}`);
    return file.name;
  });
  const all = new Set(["engine-worker.js", ...named]);
  for (const name of all) for (const other of byName.get(name)?.imports ?? []) all.add(other);
  return [...all]
    .filter((name) => !name.startsWith(without))
    .reduce((sum, name) => sum + gzipSync(byName.get(name)?.text ?? "").length, 0);
}
