// The programs that README.md and docs/ show, with the model's address changed and nothing else.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../setup/state.mjs";

/** All of them; the name is that of the file that a project gets. */
export const PROGRAMS = /** @type {const} */ ({
  "ten-lines": { file: "README.md", heading: "Ten lines" },
  "in-node": { file: "docs/quick-start.md", heading: "In Node" },
  "in-your-program": { file: "docs/server.md", heading: "In your program" },
  "openai-served": { file: "docs/server.md", heading: "The server" },
  "in-a-page": { file: "README.md", heading: "In a page" },
  "page-with-abort": { file: "docs/quick-start.md", heading: "In a page" },
  "openai-in-page": { file: "docs/providers.md", heading: "OpenAI's client, without a server" },
  "ai-sdk": { file: "docs/providers.md", heading: "The AI SDK" },
  "prompt-api": { file: "docs/providers.md", heading: "The Prompt API" },
});

const MODEL = /(?<=\bmodel: )"(?:hf:|https?:|path\/)[^"]*"/;

/**
 * @param {keyof typeof PROGRAMS} name
 * @param {string} [model] The expression that takes the place of the model's address
 * @returns {string} JavaScript that is TypeScript as well. @throws when there is no such program
 */
export function program(name, model) {
  const { file, heading } = PROGRAMS[name];
  const text = readFileSync(join(ROOT, file), "utf8");
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`));
  const found = /^```ts\n(.*?)^```$/ms.exec(section ?? "")?.[1];
  if (!found) throw new Error(`${file} shows no program under "${heading}"`);
  if (model === undefined) return found;
  if (!MODEL.test(found)) throw new Error(`the program of ${file}, "${heading}", loads no model`);
  return found.replace(MODEL, model);
}
