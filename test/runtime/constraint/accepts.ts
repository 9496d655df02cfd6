// What a constraint says of whole texts.

import { ByteGrammar } from "../../../runtime/constraint/byte-grammar.ts";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import { Recogniser } from "../../../runtime/constraint/recogniser.ts";
import { specGrammar } from "../../../runtime/constraint/spec-grammar.ts";

/** Whether the whole text is one that the constraint admits. */
export function accepts(spec: ConstraintSpec): (text: string) => boolean {
  const recogniser = new Recogniser(new ByteGrammar(specGrammar(spec)));
  const encoder = new TextEncoder();
  return (text) => recogniser.follow(recogniser.start, encoder.encode(text))?.mayEnd ?? false;
}
