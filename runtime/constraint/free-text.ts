/** Text that may be anything until it says one of some words, as rules: the automaton of Aho and Corasick. */
import {
  ALL_CHARS,
  choice,
  type Expr,
  except,
  inBoth,
  NEVER,
  ranges,
  sequence,
  text,
} from "./grammar.ts";

interface Node {
  readonly next: Map<string, number>;
  /** Longest proper end of it that begins a word. */
  fallback: number;
  /** The word that ends here. */
  word: string | undefined;
}

/**
 * @param words None empty, none within another.
 * @param afterWord What follows a word, once it has been said.
 * @param mayEnd The text may also end without a word.
 * @param newRule Gives an expression a name, which may be used before: `define` comes later.
 */
export function freeUntil(
  words: readonly string[],
  afterWord: (word: string) => Expr,
  mayEnd: boolean,
  newRule: () => { readonly rule: Expr; define(expr: Expr): void },
): Expr {
  const nodes = automaton(words);
  const rules = nodes.map(() => newRule());
  const chars = new Set(words.flatMap((word) => [...word]));
  for (const [i, node] of nodes.entries()) {
    if (node.word !== undefined) {
      rules[i].define(afterWord(node.word));
      continue;
    }
    const special = [...chars]
      .map((char) => [char, step(nodes, i, char)] as const)
      .filter(([, to]) => to !== 0);
    const known = special.map(([char]) => [char.codePointAt(0)!, char.codePointAt(0)!] as const);
    const others = inBoth(ALL_CHARS, except(ranges(known)));
    rules[i].define(
      choice(
        ...(mayEnd ? [text("")] : []),
        sequence({ kind: "chars", ranges: others }, rules[0].rule),
        ...special.map(([char, to]) => sequence(text(char), rules[to].rule)),
      ),
    );
  }
  return rules[0]?.rule ?? NEVER;
}

function automaton(words: readonly string[]): Node[] {
  const nodes: Node[] = [{ next: new Map(), fallback: 0, word: undefined }];
  for (const word of words) {
    let at = 0;
    for (const char of word) {
      const known = nodes[at].next.get(char);
      if (known === undefined) nodes[at].next.set(char, nodes.length);
      at = known ?? nodes.push({ next: new Map(), fallback: 0, word: undefined }) - 1;
    }
    nodes[at].word = word;
  }
  const queue = [0];
  for (const at of queue) {
    for (const [char, child] of nodes[at].next) {
      nodes[child].fallback = at === 0 ? 0 : step(nodes, nodes[at].fallback, char);
      queue.push(child);
    }
  }
  return nodes;
}

function step(nodes: readonly Node[], from: number, char: string): number {
  for (let at = from; ; at = nodes[at].fallback) {
    const to = nodes[at].next.get(char);
    if (to !== undefined) return to;
    if (at === 0) return 0;
  }
}
