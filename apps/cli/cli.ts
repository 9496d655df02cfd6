/**
 * Chooses the command and turns its outcome into an exit status: 0 for success, 2 for bad usage,
 * 130 after Ctrl-C, 1 for anything else. Errors are one line on stderr.
 */
import { WeftError } from "../../node.ts";
import { benchDecode } from "./bench-decode.ts";
import { benchKernels } from "./bench-kernels.ts";
import { benchServe } from "./bench-serve.ts";
import { calibrate } from "./calibrate.ts";
import { chat } from "./chat.ts";
import { type Command, log, type Terminal } from "./command.ts";
import { helpOf, overview } from "./help.ts";
import { info } from "./info.ts";
import { logits } from "./logits.ts";
import { parseOptions, UsageError, unknown } from "./option.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";
import { simulate } from "./simulate.ts";

const commands: readonly Command[] = [
  run,
  chat,
  serve,
  logits,
  calibrate,
  info,
  benchKernels,
  benchDecode,
  benchServe,
  simulate,
];

export async function cli(args: readonly string[], terminal: Terminal): Promise<number> {
  let name = "";
  try {
    if (["--help", "-h", "help"].includes(args[0])) {
      terminal.stdout.write(overview(commands));
      return 0;
    }
    const command = findCommand(args);
    name = ` ${command.name}`;
    const rest = args.slice(command.name.split(" ").length);
    if (rest.includes("--help") || rest.includes("-h")) {
      terminal.stdout.write(helpOf(command));
      return 0;
    }
    return await command.run(parseOptions(rest, command.options), terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      log(terminal, `weft${name}: ${error.message}`);
      log(terminal, `weft${name} --help lists what there is`);
      return 2;
    }
    if (terminal.signal.aborted) return terminal.signal.reason === "interrupt" ? 130 : 1;
    log(terminal, `weft${name}: ${describe(error)}`);
    return 1;
  }
}

/** @throws {UsageError} */
function findCommand([first = "", second = ""]: readonly string[]): Command {
  const names = commands.map(({ name }) => name);
  const pair = `${first} ${second}`;
  const command = commands.find(({ name }) => name === first || name === pair);
  if (command) return command;
  if (first === "") throw new UsageError(`a command is missing; give one of ${names.join(", ")}`);
  const group = names.some((name) => name.startsWith(`${first} `));
  throw unknown("command", group ? pair.trim() : first, names);
}

const describe = (error: unknown): string =>
  error instanceof WeftError ? `${error.message} (${error.code})` : WeftError.from(error).message;
