// Masks over a vocabulary of the size that models of today have: what they cost.

import { expect, test } from "vitest";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import { specGrammar } from "../../../runtime/constraint/spec-grammar.ts";
import { TokenGrammar } from "../../../runtime/constraint/token-grammar.ts";
import { TokenTrie } from "../../../runtime/constraint/token-trie.ts";
import { bytesOf, packVocabulary } from "../../../runtime/constraint/vocabulary.ts";
import { report, scale } from "../../harness/soak.ts";
import { largeVocabulary, randoms } from "./vocabularies.ts";

const size = scale("constraint-cost", 2_000, 150_000);
const numSteps = scale("constraint-cost", 40, 400);

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 50 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    tags: { type: "array", items: { type: "string" }, maxItems: 5 },
    home: {
      type: "object",
      properties: { city: { type: "string" }, zip: { type: "string", pattern: "^\\d{5}$" } },
      required: ["city"],
    },
  },
  required: ["name", "age", "tags", "home"],
};

const SPECS: Readonly<Record<string, ConstraintSpec>> = {
  object: { type: "json_object" },
  person: { type: "json_schema", schema: person },
  counted: { type: "json_schema", schema: { type: "string", minLength: 100, maxLength: 400 } },
  regex: { type: "regex", pattern: "[a-z]+@(foo|bar)\\.com( and more)?" },
};

test("masks are found, and the way out is kept", () => {
  const timed = <T>(run: () => T): [T, number] => {
    const start = performance.now();
    return [run(), Number((performance.now() - start).toFixed(2))];
  };
  const source = largeVocabulary(size);
  const [vocabulary, packMs] = timed(() => packVocabulary(source, source.vocabSize));
  const [trie, trieMs] = timed(() => new TokenTrie(vocabulary));
  const figures: Record<string, unknown> = { vocabSize: source.vocabSize, packMs, trieMs };
  for (const [name, spec] of Object.entries(SPECS)) {
    const [grammar, compileMs] = timed(() => new TokenGrammar(specGrammar(spec), vocabulary, trie));
    const [least, leastMs] = timed(() => grammar.tokensToEnd(grammar.start));
    const maskMs: Record<string, number[]> = { first: [], again: [], near: [] };
    for (const [kind, times] of Object.entries(maskMs)) {
      const random = randoms(1);
      let state = grammar.start;
      let remaining = kind === "near" ? least + 10 : 1e6;
      for (let step = 0; step < numSteps; step++) {
        const [mask, ms] = timed(() => grammar.mask(state, remaining--));
        times.push(ms);
        const id = oneOf(mask, random);
        if (id === source.eosTokenIds[0]) break;
        expect(bytesOf(vocabulary, id).length).toBeGreaterThan(0);
        state = grammar.next(state, id)!;
      }
      if (kind === "near") expect(remaining).toBeGreaterThanOrEqual(-1);
    }
    const spread = Object.entries(maskMs).map(([kind, times]) => [kind, percentiles(times)]);
    figures[name] = { compileMs, leastMs, least, maskMs: Object.fromEntries(spread) };
  }
  report("constraint-cost", figures);
});

function oneOf(mask: Uint32Array, random: () => number): number {
  const ids = Array.from({ length: mask.length * 32 }, (_, id) => id).filter(
    (id) => (mask[id >> 5] >>> (id & 31)) & 1,
  );
  return ids[Math.floor(random() * ids.length)];
}

function percentiles(times: number[]) {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))];
  return { n: times.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}
