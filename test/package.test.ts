// The package: what of it a page downloads, and that its build leaves shaders as they are.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compactSource, compactWgsl } from "../scripts/build/wgsl.mjs";
import { buildWorker, downloadBytes } from "../scripts/build/worker.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const files = await buildWorker();
const { "size-limit": limits } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  "size-limit": { name: string; limit: string }[];
};
const limitOf = (start: string) =>
  1000 * Number.parseFloat(limits.find(({ name }) => name.startsWith(start))!.limit);

test.each([
  ["core", ["qwen3"], false],
  ["with tokenizer", ["qwen3"], true],
  ["with the store", ["qwen3", "browser-store", "whole-hash"], true],
])(
  "a page that loads a dense model downloads no more than the limit: %s",
  (of, parts, packages) => {
    const bytes = downloadBytes(files, parts, { packages });
    expect(bytes).toBeLessThan(limitOf(of));
    // A part that left the core by mistake would be missed as well.
    expect(bytes).toBeGreaterThan(0.85 * limitOf(of));
  },
);

test("no part imports the script, which would serve its worker twice", () => {
  expect(files.flatMap(({ imports }) => imports)).not.toContain("engine-worker.js");
});

/** What a compiler of WGSL reads. */
const words = (text: string) =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/\/\/.*/g, "")
    .split(/\s+/)
    .join(" ");

test("shaders lose comments and indentation, and nothing else", () => {
  const text = "  // why\n  let a = b - -c; // here\n\n\tlet d = 1u; /* two\n lines */ f(d);\n";
  expect(compactWgsl(text)).toBe("\nlet a = b - -c;\nlet d = 1u;   f(d);\n");
  const sources = readdirSync(join(root, "kernels"), { recursive: true, encoding: "utf8" });
  let saved = 0;
  for (const name of sources.filter((path) => path.endsWith(".ts"))) {
    const source = readFileSync(join(root, "kernels", name), "utf8");
    const compact = compactSource(source, name);
    expect(words(compact), name).toBe(words(source));
    saved += source.length - compact.length;
  }
  expect(saved).toBeGreaterThan(10_000);
});
