// The import rule: who may import whom, no cycles, and WebGPU's names only in runtime/gpu/. Each
// check also runs over planted violations, since a checker that reads no file finds no fault.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, sep } from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const CANARY = join(import.meta.dirname, "fixtures", "boundaries-canary");
const FOLDERS = ["kernels", "scheduler", "models", "runtime", "apps"];
const DOORS = ["index.ts", "node.ts", "server-in-page.ts", "ai-sdk.ts", "prompt-api.ts"];

const rules = createRequire(import.meta.url)(join(ROOT, ".dependency-cruiser.cjs"));

describe("imports", () => {
  test("every import is allowed", async () => {
    const { modules, violations } = await check(ROOT);
    // With a TypeScript it does not know, dependency-cruiser reads nothing and reports no fault.
    expect(modules).toEqual(expect.arrayContaining(sources(ROOT)));
    expect(violations).toEqual([]);
  });

  test("planted violations are found", async () => {
    const { violations } = await check(CANARY);
    expect(violations.sort()).toEqual([
      "apps-use-the-public-doors: apps/cli/main.ts -> runtime/tested.ts",
      "doors-import-the-runtime: index.ts -> models/door.ts",
      "imports-resolve: models/unresolved.ts -> ./nowhere.ts",
      "kernels-import-nothing: kernels/kernel.ts -> scheduler/plan.ts",
      "leaves-need-no-package: kernels/node-builtin.ts -> fs",
      "leaves-need-no-package: models/unresolved.ts -> ./nowhere.ts",
      expect.stringMatching(/^leaves-need-no-package: scheduler\/package\.ts -> .*huggingface/),
      "models-import-kernels: models/config.ts -> runtime/engine.ts",
      "models-import-kernels: models/scheduled.ts -> scheduler/cycle-a.ts",
      "no-cycles: scheduler/cycle-a.ts -> scheduler/cycle-b.ts",
      "runtime-imports-the-leaves: runtime/engine.ts -> index.ts",
      "runtime-imports-the-leaves: runtime/tested.ts -> test/helper.ts",
      "scheduler-imports-nothing: scheduler/plan.ts -> models/config.ts",
      "tokenizer-stands-alone: runtime/tokenizer/tokenizer.ts -> runtime/engine.ts",
    ]);
  });
});

describe("names of WebGPU", () => {
  test("stand only in runtime/gpu/", () => {
    expect(webgpuNames(ROOT)).toEqual([]);
  });

  test("planted names are found", () => {
    expect(webgpuNames(CANARY)).toEqual([
      "runtime/engine.ts: GPUDevice",
      "runtime/scheduled.ts: GPUAdapter",
    ]);
  });
});

async function check(root: string): Promise<{ modules: string[]; violations: string[] }> {
  const { output } = await cruise(entries(root), {
    ...rules.options,
    baseDir: root,
    validate: true,
    ruleSet: { forbidden: rules.forbidden },
  });
  const { modules, summary } = output as ICruiseResult;
  return {
    modules: modules.map(({ source }) => source),
    violations: summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`),
  };
}

/** Folders and doors that exist under `root`. */
function entries(root: string): string[] {
  const present = readdirSync(root);
  return [...FOLDERS, ...DOORS].filter((name) => present.includes(name));
}

/** Every TypeScript file below the entries, relative to `root`. */
function sources(root: string): string[] {
  return entries(root)
    .flatMap((entry) =>
      entry.endsWith(".ts")
        ? [entry]
        : readdirSync(join(root, entry), { recursive: true, encoding: "utf8" }).map((path) =>
            [entry, ...path.split(sep)].join("/"),
          ),
    )
    .filter((path) => path.endsWith(".ts"))
    .sort();
}

/** `file: name` for each identifier like GPUDevice outside runtime/gpu/; comments do not count. */
function webgpuNames(root: string): string[] {
  return sources(root)
    .filter((path) => !path.startsWith("runtime/gpu/"))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), "utf8");
      const found = new Set<string>();
      const visit = (node: ts.Node): void => {
        if (ts.isIdentifier(node) && /^GPU([A-Z]|$)/.test(node.text)) found.add(node.text);
        ts.forEachChild(node, visit);
      };
      visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2023));
      return [...found].map((name) => `${path}: ${name}`);
    });
}
