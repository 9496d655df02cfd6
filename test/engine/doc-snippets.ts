// Snippets of TypeScript in docs/, to be run as written. `// …` behind a console.log is what it writes.

import { readFileSync } from "node:fs";
import { transform } from "esbuild";

export interface Snippet {
  readonly name: string;
  readonly code: string;
  /** Undefined where the page does not say what a console.log writes. */
  readonly says: readonly (string | undefined)[];
}

export function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code], i) => ({
    name: `docs/${page}, snippet ${i + 1}`,
    code,
    says: [...code.matchAll(/console\.log\(.*?\);(?: \/\/ (.*))?$/gm)].map(([, said]) => said),
  }));
}

/** @returns What it wrote, line by line. */
export async function run(code: string, engine: unknown): Promise<string[]> {
  const written: string[] = [];
  const log = (...values: unknown[]) => written.push(values.join(" "));
  const wrapped = `const snippet = async () => {\n${code}\n};`;
  const { code: body } = await transform(wrapped, { loader: "ts", target: "es2022" });
  await new Function("engine", "console", `${body}\nreturn snippet();`)(engine, { log });
  return written;
}
