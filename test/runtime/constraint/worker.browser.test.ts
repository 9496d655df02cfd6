// Constraints in a worker of a page, and of a worker.

import { expect, test } from "vitest";
import { constraintPort } from "../../../runtime/constraint/browser-worker.ts";
import { ConstraintCompiler } from "../../../runtime/constraint/constraint-compiler.ts";

const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const tokenizer = {
  eosTokenIds: [letters.length],
  isSpecial: () => false,
  idToBytes: (id: number) =>
    id < letters.length ? new TextEncoder().encode(letters[id]) : undefined,
  encode: (text: string) => [...text].map((letter) => letters.indexOf(letter)),
};

test("a page's worker says what may come next", async () => {
  const compiler = new ConstraintCompiler({ tokenizer, vocabSize: 30, dial: constraintPort });
  const constraint = await compiler.compile({ type: "choice", choices: ["abc", "abd", "x"] });
  const { masks } = await constraint.advance([], 10);
  expect(masks[0]).toEqual(Uint32Array.of(1 | (1 << 23)));
  const next = await constraint.advance([0], 9);
  expect(next.masks[0]).toEqual(Uint32Array.of(1 << 1));
  compiler.close();
});
