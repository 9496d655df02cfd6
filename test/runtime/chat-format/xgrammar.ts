// Texts that a structural constraint admits, found by xgrammar itself over a vocabulary of bytes.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import type * as XGrammar from "@mlc-ai/web-xgrammar";
import type { StructuralConstraint } from "../../../runtime/constraint/structural-tag.ts";

const END = 256;
const FREE_END = "\n</parameter>\n";

export interface Admitted {
  /** How far a text is admitted: undefined, as a whole answer; else the characters that are. */
  refusal(constraint: StructuralConstraint, text: string): Promise<number | undefined>;
  /**
   * A random answer that begins with `start`, of ASCII; undefined where it became too long.
   * @param random From 0 to below 1.
   */
  walk(
    constraint: StructuralConstraint,
    start: string,
    random: () => number,
  ): Promise<string | undefined>;
}

export async function admitted(): Promise<Admitted> {
  const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = await load();
  const vocabulary = Array.from({ length: END }, (_, byte) => String.fromCharCode(byte));
  // The 256 raw strings are two bytes from 128 on; only ASCII is drawn.
  const info = await TokenizerInfo.createTokenizerInfo(
    [...vocabulary, "<end>"],
    "raw",
    false,
    END + 1,
    [END],
  );
  const compiler = await GrammarCompiler.createGrammarCompiler(info);
  const matcherOf = async ({ format }: StructuralConstraint) =>
    GrammarMatcher.createGrammarMatcher(
      await compiler.compileStructuralTag({ type: "structural_tag", format } as never),
      END,
    );
  return {
    async refusal(constraint, text) {
      const matcher = await matcherOf(constraint);
      const letters = [...text];
      const at = letters.findIndex((letter) => !matcher._acceptString(letter));
      const whole = at < 0 && matcher.acceptToken(END);
      matcher.dispose();
      return whole ? undefined : at < 0 ? letters.length : at;
    },
    async walk(constraint, start, random) {
      const matcher = await matcherOf(constraint);
      let text = start;
      if (!matcher._acceptString(start)) throw new Error(`${start} is not admitted`);
      try {
        while (text.length < 3000) {
          // Chance alone does not find the end of free words.
          if (random() < 0.1 && matcher._acceptString(FREE_END)) {
            text += FREE_END;
            continue;
          }
          const mask = await matcher.getNextTokenBitmask();
          const next = Array.from({ length: END + 1 }, (_, id) => id).filter(
            (id) => (id < 128 || id === END) && (mask[id >> 5] >>> (id & 31)) & 1,
          );
          // Ends where it may, and closes what is open sooner than chance would.
          const likely = next.filter((id) => '"}],<\n'.includes(String.fromCharCode(id)));
          const from = likely.length > 0 && random() < 0.5 ? likely : next;
          const id = next.includes(END) ? END : from[Math.floor(random() * from.length)];
          if (!matcher.acceptToken(id)) throw new Error(`${id} is not accepted behind ${text}`);
          if (id === END) return text;
          text += String.fromCharCode(id);
        }
        return undefined;
      } finally {
        matcher.dispose();
      }
    },
  };
}

/** The package is CommonJS under an ES module's name: it wants Node's globals, and leaves itself in one. */
async function load(): Promise<typeof XGrammar> {
  const require = createRequire(import.meta.url);
  const path = require.resolve("@mlc-ai/web-xgrammar");
  const globals = globalThis as unknown as Record<string, unknown>;
  Object.assign(globals, { require, __filename: path, __dirname: dirname(path) });
  await import(/* @vite-ignore */ path);
  return globals.xgrammar as typeof XGrammar;
}
