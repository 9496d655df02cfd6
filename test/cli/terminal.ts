// A terminal of streams, for commands that run in the test's own process.

import { Readable, Writable } from "node:stream";
import type { Command, Terminal } from "../../apps/cli/command.ts";
import { parseOptions } from "../../apps/cli/option.ts";

export interface Written {
  stdout: string;
  stderr: string;
}

/** A command without its process. @throws what the command line would tell on stderr. */
export async function here(command: Command, args: readonly string[], input = "") {
  const { terminal, written } = terminalOf({ input });
  const status = await command.run(parseOptions(args, command.options), terminal);
  return { status, ...written };
}

/** @param input Written to stdin, which then ends. */
export function terminalOf({ isTTY = false, input = "" } = {}): {
  terminal: Terminal;
  written: Written;
} {
  const written: Written = { stdout: "", stderr: "" };
  const stream = (name: keyof Written) => {
    const write = (piece: Buffer, _: string, done: () => void) => {
      written[name] += piece;
      done();
    };
    return Object.assign(new Writable({ write }), { isTTY });
  };
  const { signal } = new AbortController();
  const [stdout, stderr] = [stream("stdout"), stream("stderr")];
  const stdin = Readable.from([input]);
  const terminal = { stdin, stdout, stderr, signal, onInterrupt() {}, onTerminate() {} };
  return { terminal, written };
}
