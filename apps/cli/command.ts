/** What a command is, and what it is given to work with. */
import type { Readable, Writable } from "node:stream";
import type { Options, OptionValues } from "./option.ts";

type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** The command's result and nothing else. */
  readonly stdout: Output;
  /** Progress, figures and errors. */
  readonly stderr: Output;
  /** Aborted by Ctrl-C, and when nobody reads stdout any more. */
  readonly signal: AbortSignal;
  /** Takes Ctrl-C instead of `signal`, until undefined is given. */
  onInterrupt(handler: (() => void) | undefined): void;
  /** Takes SIGTERM, which else ends the process at once, until undefined is given. */
  onTerminate(handler: (() => void) | undefined): void;
}

export interface Command<O extends Options = Options> {
  readonly name: string;
  readonly summary: string;
  readonly options: O;
  /** @returns Exit status. @throws {UsageError} before any work, {WeftError} during it. */
  run(values: OptionValues<O>, terminal: Terminal): Promise<number>;
}

/** Checks the values against the options; commands of different options then go in one list. */
export const defineCommand = <O extends Options>(command: Command<O>): Command =>
  command as unknown as Command;

export const log = ({ stderr }: Terminal, line: string): void => {
  stderr.write(`${line}\n`);
};

export function printJson({ stdout }: Terminal, value: unknown): void {
  stdout.write(`${JSON.stringify(value, undefined, stdout.isTTY ? 2 : undefined)}\n`);
}
