// Masks against those of xgrammar, which knows nothing of ours, on random ways through grammars of all kinds.

import { expect, test } from "vitest";
import { ByteGrammar } from "../../../runtime/constraint/byte-grammar.ts";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import { Recogniser, type State } from "../../../runtime/constraint/recogniser.ts";
import { specGrammar } from "../../../runtime/constraint/spec-grammar.ts";
import { TokenGrammar } from "../../../runtime/constraint/token-grammar.ts";
import { TokenTrie } from "../../../runtime/constraint/token-trie.ts";
import { packVocabulary } from "../../../runtime/constraint/vocabulary.ts";
import { report, scale } from "../../harness/soak.ts";
import { madeSchema } from "./schemas.ts";
import { demoTokenizer, randoms } from "./vocabularies.ts";
import { writeEbnf } from "./write-ebnf.ts";
import { Xgrammar } from "./xgrammar.ts";

const numSchemas = scale("constraint-twin", 8, 200);

test("masks are those of xgrammar", async () => {
  const tokenizer = demoTokenizer();
  const vocabulary = packVocabulary(tokenizer, tokenizer.vocabSize + 40);
  const trie = new TokenTrie(vocabulary);
  const xgrammar = await Xgrammar.open(vocabulary);
  const specs: ConstraintSpec[] = [
    { type: "json_object" },
    { type: "regex", pattern: "([a-z]+|\\d{2,3}x)*@\\S{1,4}é?" },
    { type: "choice", choices: ["yes", "no", "maybe so"] },
    {
      type: "grammar",
      grammar: 'root ::= sum ("\\n" sum)*\nsum ::= [0-9]+ (" + " [0-9]+)* " = " [^ \\n]+\n',
    },
    ...Array.from({ length: numSchemas }, (_, i): ConstraintSpec => {
      return { type: "json_schema", schema: madeSchema(randoms(1000 + i), i % 5) };
    }),
  ];
  let numMasks = 0;
  for (const [i, spec] of specs.entries()) {
    const random = randoms(i);
    const grammar = specGrammar(spec);
    const own = new TokenGrammar(grammar, vocabulary, trie);
    const recogniser = new Recogniser(new ByteGrammar(grammar));
    const compiled = await xgrammar.compile(writeEbnf(grammar));
    const matcher = await compiled.matcher();
    let state = own.start;
    let place = recogniser.start;
    for (let step = 0; step < 60; step++) {
      const mask = own.mask(state, 1e9);
      // Within a character xgrammar takes bytes that UTF-8 has not.
      const isWithin =
        !place.mayEnd && nexts(recogniser, place).every((byte) => byte >= 0x80 && byte < 0xc0);
      if (!isWithin) {
        const theirs = await matcher.mask();
        const at = mask.findIndex((bits, word) => bits !== theirs[word]);
        expect(at, `${JSON.stringify(spec)} after ${step} tokens, token ${at * 32}`).toBe(-1);
        numMasks++;
      }
      const ids = allowed(mask);
      const id = ids[Math.floor(random() * ids.length)];
      if (vocabulary.endTokenIds.includes(id)) break;
      expect(await matcher.accept(id)).toBe(true);
      state = own.next(state, id)!;
      place = recogniser.follow(place, tokenizer.idToBytes(id)!)!;
    }
    matcher.dispose();
    compiled.dispose();
  }
  report("constraint-twin", { numGrammars: specs.length, numMasks });
});

const allowed = (mask: Uint32Array) =>
  Array.from({ length: mask.length * 32 }, (_, id) => id).filter(
    (id) => (mask[id >> 5] >>> (id & 31)) & 1,
  );

const nexts = (recogniser: Recogniser, state: State) =>
  Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => recogniser.next(state, byte));
