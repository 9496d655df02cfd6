// The programs that README.md shows, with the model's address changed and nothing else.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../setup/state.mjs";

/** @param {string} heading Of the section that shows it @param {string} model @returns {string} */
export function readmeProgram(heading, model) {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  const program = /^```ts\n(.*?)^```$/ms.exec(section ?? "")?.[1];
  const address = /(?<=createEngine\(\{ model: )"[^"]*"/;
  if (!program || !address.test(program)) {
    throw new Error(`README.md shows no program that loads a model under "${heading}"`);
  }
  return program.replace(address, JSON.stringify(model));
}
