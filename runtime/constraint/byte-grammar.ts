/**
 * A grammar over bytes, flat in arrays: what the recogniser walks. A slot is a place in one of a rule's
 * alternatives: before a set of bytes, before a rule, or at the alternative's end.
 * Refuses left recursion, grammars without a finite text, or none of a length to be had, and very large ones.
 */
import { WeftError } from "../errors.ts";
import type { Expr, Grammar } from "./grammar.ts";
import { type ByteSequence, utf8Ranges } from "./utf8-ranges.ts";

/** About 60 MB of states at worst; a schema of 100 kB has a twentieth. */
const MAX_SLOTS = 300_000;
/** Bytes of the shortest text: no context holds more, and to look for the way to its end takes as many states. */
const MAX_SHORTEST = 1e6;

/** The alternative ends at the slot. */
export const END = -1;

export class ByteGrammar {
  /** Per slot: END, a byte set (>= 0), or a rule r as -2 - r. The slot after it is the next one. */
  readonly symbols: number[] = [];
  /** Each 256 flags. */
  readonly sets: Uint8Array[] = [];
  /** Per rule, the first slot of each alternative. */
  readonly alternatives: number[][] = [];
  /** Per slot, the fewest bytes to the end of its alternative. */
  readonly bytesToEnd: Float64Array;
  readonly root: number;
  readonly #setIds = new Map<string, number>();
  readonly #ruleIds = new Map<string, number>();
  readonly #names: string[] = [];

  /** @throws {WeftError} `bad_request`. */
  constructor({ rules }: Grammar) {
    for (const name of rules.keys()) this.#ruleIds.set(name, this.#newRule(name));
    for (const [name, expr] of rules) this.#define(this.#ruleIds.get(name)!, expr);
    this.root = this.#ruleIds.get("root")!;
    this.bytesToEnd = this.#measure();
    const shortest = this.bytesOfRule(this.root);
    if (shortest === Number.POSITIVE_INFINITY) {
      throw refusal("it has no finite text: every way through it goes on for ever");
    }
    if (shortest > MAX_SHORTEST) {
      throw refusal(
        `its shortest text has ${shortest} bytes, above ${MAX_SHORTEST}; make lengths and numbers of items smaller`,
      );
    }
    this.#refuseLeftRecursion();
  }

  /** The fewest bytes of a text of the rule. */
  bytesOfRule(rule: number): number {
    return Math.min(...this.alternatives[rule].map((slot) => this.bytesToEnd[slot]));
  }

  #newRule(name: string): number {
    this.#names.push(name);
    return this.alternatives.push([]) - 1;
  }

  #define(rule: number, expr: Expr): void {
    for (const option of expr.kind === "choice" ? expr.options : [expr]) {
      this.#alternative(rule, this.#symbolsOf(option, rule));
    }
  }

  #alternative(rule: number, symbols: readonly number[]): void {
    this.alternatives[rule].push(this.symbols.length);
    for (const symbol of symbols) this.symbols.push(symbol);
    this.symbols.push(END);
    if (this.symbols.length > MAX_SLOTS) {
      throw refusal(
        `it has more than ${MAX_SLOTS} places; make lengths and numbers of items smaller`,
      );
    }
  }

  #symbolsOf(expr: Expr, inside: number): number[] {
    switch (expr.kind) {
      case "text":
        return Array.from(new TextEncoder().encode(expr.text), (byte) => this.#set([[byte, byte]]));
      case "chars":
        return this.#symbolsOfChars(utf8Ranges(expr.ranges), inside);
      case "rule":
        return [-2 - this.#ruleIds.get(expr.name)!];
      case "sequence":
        return expr.parts.flatMap((part) => this.#symbolsOf(part, inside));
      case "choice": {
        const rule = this.#newRule(this.#names[inside]);
        this.#define(rule, expr);
        return [-2 - rule];
      }
      case "repeat":
        return this.#symbolsOfRepeat(expr, inside);
    }
  }

  #symbolsOfRepeat({ of, min, max }: Extract<Expr, { kind: "repeat" }>, inside: number): number[] {
    const once = this.#symbolsOf(of, inside);
    const numSymbols = once.length * Math.max(min, max ?? 0);
    if (numSymbols > MAX_SLOTS) throw refusal(`${max ?? min} repetitions are too many`);
    const symbols = Array.from({ length: min }, () => once).flat();
    const name = this.#names[inside];
    if (max === undefined) {
      const loop = this.#newRule(name);
      this.#alternative(loop, []);
      this.#alternative(loop, [...once, -2 - loop]);
      return [...symbols, -2 - loop];
    }
    let rest: number | undefined;
    for (let i = min; i < max; i++) {
      const more: number = this.#newRule(name);
      this.#alternative(more, []);
      this.#alternative(more, rest === undefined ? once : [...once, -2 - rest]);
      rest = more;
    }
    return rest === undefined ? symbols : [...symbols, -2 - rest];
  }

  /** Sequences whose bytes after the first are the same share an alternative. */
  #symbolsOfChars(sequences: readonly ByteSequence[], inside: number): number[] {
    const byTail = new Map<string, ByteSequence[]>();
    for (const sequence of sequences) {
      const tail = JSON.stringify(sequence.slice(1));
      byTail.set(tail, [...(byTail.get(tail) ?? []), sequence]);
    }
    const options = [...byTail.values()].map((group) => [
      this.#set(group.map(([first]) => first)),
      ...group[0].slice(1).map((range) => this.#set([range])),
    ]);
    if (options.length === 1) return options[0];
    const rule = this.#newRule(this.#names[inside]);
    for (const symbols of options) this.#alternative(rule, symbols);
    return [-2 - rule];
  }

  #set(ranges: readonly (readonly [number, number])[]): number {
    const key = ranges.join(" ");
    const known = this.#setIds.get(key);
    if (known !== undefined) return known;
    this.#setIds.set(key, this.sets.length);
    const flags = new Uint8Array(256);
    for (const [from, to] of ranges) flags.fill(1, from, to + 1);
    return this.sets.push(flags) - 1;
  }

  /** Rules whose fewest bytes become known, or fewer, have those that call them measured again. */
  #measure(): Float64Array {
    const { symbols, alternatives } = this;
    const shortest = new Float64Array(alternatives.length).fill(Number.POSITIVE_INFINITY);
    const callers: Set<number>[] = alternatives.map(() => new Set());
    const bytes = (slot: number): number => {
      let sum = 0;
      for (let at = slot; symbols[at] !== END; at++) {
        sum += symbols[at] >= 0 ? 1 : shortest[-2 - symbols[at]];
      }
      return sum;
    };
    for (const [rule, starts] of alternatives.entries()) {
      for (let at of starts) {
        for (; symbols[at] !== END; at++) if (symbols[at] < -1) callers[-2 - symbols[at]].add(rule);
      }
    }
    // Chains of repetitions were made from their ends.
    const queue = new Set(alternatives.keys());
    for (const rule of queue) {
      queue.delete(rule);
      const least = alternatives[rule].reduce((min, slot) => Math.min(min, bytes(slot)), Infinity);
      if (least >= shortest[rule]) continue;
      shortest[rule] = least;
      for (const caller of callers[rule]) queue.add(caller);
    }
    const toEnd = new Float64Array(symbols.length);
    for (let slot = symbols.length - 2; slot >= 0; slot--) {
      const symbol = symbols[slot];
      if (symbol !== END) toEnd[slot] = toEnd[slot + 1] + (symbol >= 0 ? 1 : shortest[-2 - symbol]);
    }
    return toEnd;
  }

  /** A rule that calls itself before any byte, and has more to do after, would never be done with opening it. */
  #refuseLeftRecursion(): void {
    const { symbols, alternatives } = this;
    const canBeEmpty = alternatives.map((_, rule) => this.bytesOfRule(rule) === 0);
    const calls = alternatives.map((starts) => {
      const first: { rule: number; returns: boolean }[] = [];
      for (let at of starts) {
        for (; symbols[at] < -1; at++) {
          const rule = -2 - symbols[at];
          first.push({ rule, returns: symbols[at + 1] !== END });
          if (!canBeEmpty[rule]) break;
        }
      }
      return first;
    });
    const group = components(calls.map((called) => called.map(({ rule }) => rule)));
    for (const [rule, called] of calls.entries()) {
      if (called.some((call) => call.returns && group[call.rule] === group[rule])) {
        throw refusal(
          `rule ${this.#names[rule]} begins with itself (left recursion); ` +
            'write list ::= item ("," item)* instead of list ::= item | list "," item',
        );
      }
    }
  }
}

/** Strongly connected components, by number; Tarjan's algorithm without recursion. */
function components(edges: readonly (readonly number[])[]): Int32Array {
  const group = new Int32Array(edges.length).fill(-1);
  const order = new Int32Array(edges.length).fill(-1);
  const low = new Int32Array(edges.length);
  const open: number[] = [];
  let numSeen = 0;
  for (let start = 0; start < edges.length; start++) {
    if (order[start] >= 0) continue;
    const path: { node: number; next: number }[] = [{ node: start, next: 0 }];
    while (path.length > 0) {
      const frame = path[path.length - 1];
      const { node } = frame;
      if (frame.next === 0) {
        order[node] = low[node] = numSeen++;
        open.push(node);
      }
      const to = edges[node][frame.next++];
      if (to === undefined) {
        path.pop();
        if (low[node] === order[node]) {
          let member: number;
          do {
            member = open.pop()!;
            group[member] = node;
          } while (member !== node);
        }
        const parent = path.at(-1);
        if (parent) low[parent.node] = Math.min(low[parent.node], low[node]);
      } else if (order[to] < 0) path.push({ node: to, next: 0 });
      else if (group[to] < 0) low[node] = Math.min(low[node], order[to]);
    }
  }
  return group;
}

const refusal = (what: string) =>
  new WeftError("bad_request", `the grammar cannot be used: ${what}`);
