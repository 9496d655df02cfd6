// npm run compare: Weft and its peers on models of one shape, in one sitting. See ../README.md.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { findMachine, loadOfMachine } from "./machine.mjs";
import { readWords, writeModels } from "./models.mjs";
import { HELP, readOptions, UsageError } from "./options.mjs";
import { PACKAGES, ROOT } from "./places.mjs";
import { ratiosOf } from "./ratios.mjs";
import { reportOf, writeReport } from "./report.mjs";
import { sit } from "./sitting.mjs";
import { ratioTable, tableOf } from "./table.mjs";

/** @param {string} line */
const say = (line) => process.stderr.write(`compare: ${line}\n`);

try {
  const args = process.argv.slice(2);
  const options = readOptions(args);
  if (options.help) process.stdout.write(HELP);
  else await compare(options, args);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

/** @param {import("./options.mjs").Options} options @param {string[]} args */
async function compare({ sizes, subjects, out, ...lengths }, args) {
  if (!existsSync(PACKAGES)) {
    throw new Error(
      "the peers are not installed; run `npm ci --ignore-scripts` in bench/ (1.3 GB)",
    );
  }
  const machine = await findMachine();
  const { buildIfStale } = await import(pathToFileURL(join(ROOT, "scripts/build.mjs")).href);
  await buildIfStale();
  writeModels(sizes, say);
  const before = loadOfMachine();
  const rows = [];
  const { promptTokens, genTokens, repeats } = lengths;
  for (const size of sizes) {
    const load = { size, promptTokens, genTokens, repeats, words: readWords(size), machine };
    rows.push(...(await sit(subjects, load, say)));
  }
  const ratios = ratiosOf(rows);
  const loadAverage = { before, after: loadOfMachine() };
  const load = { promptTokens, genTokens, repeats };
  const report = reportOf({ machine, args, load, rows, ratios, loadAverage });
  const path = out
    ? resolve(out)
    : join(ROOT, "docs", "results", `compare-${machine.hasGpu ? "gpu" : "lavapipe"}.json`);
  process.stdout.write(`${tableOf(rows)}\n${ratioTable(ratios)}\n${writeReport(path, report)}\n`);
  if (rows.some(({ failed }) => failed)) process.exitCode = 1;
}
