/** The text of `--help`. */
import type { Command } from "./command.ts";
import { optionName } from "./option.ts";

export const overview = (commands: readonly Command[]): string =>
  [
    "weft: language models on WebGPU",
    "",
    ...columns(commands.map(({ name, summary }) => [`weft ${name}`, summary])),
    "",
    "weft COMMAND --help lists the options of a command.",
    "",
  ].join("\n");

export function helpOf({ name, summary, options }: Command): string {
  const lines = Object.entries(options).map(([key, { value, help }]): [string, string] => [
    value === undefined ? optionName(key) : `${optionName(key)} ${value}`,
    help,
  ]);
  return [`weft ${name}: ${summary}`, "", ...columns(lines), ""].join("\n");
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
