/**
 * A Jinja template that comes to an end. @huggingface/jinja has no limits, and a model's template is
 * a stranger's program: nested loops hold the thread for ever, `range(1e9)` ends the process.
 * Owns the limits; which template applies is chat-template.ts's.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { WeftError } from "../errors.ts";
import { strftime } from "./strftime.ts";

/** Many times a real template. The parser is quadratic in blank lines: seconds at this length. */
const MAX_SOURCE_LENGTH = 65_536;
/** More than a conversation has messages; a loop takes about 10 µs per item before its body runs. */
const MAX_LIST_LENGTH = 100_000;
/** Four million tokens or more. */
const MAX_TEXT_LENGTH = 2 ** 24;
/** A conversation of 10,000 messages takes less than one second. */
const MAX_MS = 5_000;

type Evaluate = Interpreter["evaluate"];

export class BoundedTemplate {
  readonly #program: ReturnType<typeof parse>;

  /** @throws {WeftError} `chat_template_failed` when too long; what the parser throws. */
  constructor(source: string) {
    check("has", source.length, MAX_SOURCE_LENGTH, "characters");
    // As transformers sets Jinja up.
    this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  }

  /** @throws {WeftError} `chat_template_failed` at a limit; what the template throws. */
  render(variables: Readonly<Record<string, unknown>>): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...globals, ...variables })) {
      environment.set(name, value);
    }
    return String(new BoundedInterpreter(environment).run(this.#program).value);
  }
}

/** Every statement and expression passes through `evaluate`, those of loops and macros each time. */
class BoundedInterpreter extends Interpreter {
  readonly #startMs = performance.now();

  override evaluate(...[statement, environment]: Parameters<Evaluate>): ReturnType<Evaluate> {
    check("runs for", performance.now() - this.#startMs, MAX_MS, "ms");
    const result = super.evaluate(statement, environment);
    // The library gives undefined for the first item of an empty list.
    const value: unknown = result?.value;
    if (Array.isArray(value)) check("makes a list of", value.length, MAX_LIST_LENGTH, "items");
    if (typeof value === "string") {
      check("makes a text of", value.length, MAX_TEXT_LENGTH, "characters");
    }
    return result;
  }
}

/** What transformers gives a template. */
const globals = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
  raise_exception(message: string): never {
    throw new Error(message);
  },
  strftime_now: (format: string): string => strftime(`${format}`, new Date()),
  range(from: number, to?: number, step = 1): number[] {
    const [start, stop] = to === undefined ? [0, from] : [from, to];
    if (step === 0) throw new Error("range() step must not be zero");
    const length = Math.max(0, Math.ceil((stop - start) / step));
    check("makes a list of", length, MAX_LIST_LENGTH, "items");
    return Array.from({ length }, (_, i) => start + i * step);
  },
};

function check(does: string, actual: number, allowed: number, unit: string): void {
  if (actual <= allowed || Number.isNaN(actual)) return;
  throw new WeftError(
    "chat_template_failed",
    `the model's chat template ${does} ${Math.floor(actual)} ${unit}, ${allowed} are allowed; ` +
      "shorten the conversation, or take the template from the model's publisher",
  );
}
