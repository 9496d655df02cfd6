/** The worker's side: keeps the constraints of one vocabulary, and the grammars that they were last made of. */
import { WeftError } from "../errors.ts";
import type { Port } from "../remote/port.ts";
import { LiveConstraint } from "./live-constraint.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { specGrammar } from "./spec-grammar.ts";
import { TokenGrammar } from "./token-grammar.ts";
import { TokenTrie } from "./token-trie.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

const MAX_GRAMMARS = 16;

export function serveConstraints(port: Port): void {
  let host: ConstraintHost | undefined;
  port.listen((received) => {
    const message = received as ToWorker;
    if (message.type === "vocabulary") host = new ConstraintHost(message.vocabulary);
    else if (message.type === "close") host?.close(message.id);
    else port.post(reply(host!, message));
  });
}

function reply(host: ConstraintHost, message: Extract<ToWorker, { call: number }>): FromWorker {
  const { call } = message;
  try {
    if (message.type === "open") host.open(message);
    else return { type: "reply", call, answer: host.advance(message) };
    return { type: "reply", call };
  } catch (error) {
    return { type: "failed", call, error: WeftError.from(error).toJSON() };
  }
}

class ConstraintHost {
  readonly #vocabulary: TokenVocabulary;
  readonly #trie: TokenTrie;
  /** By the spec as JSON, last used last. */
  readonly #grammars = new Map<string, TokenGrammar>();
  readonly #live = new Map<number, LiveConstraint>();

  constructor(vocabulary: TokenVocabulary) {
    this.#vocabulary = vocabulary;
    this.#trie = new TokenTrie(vocabulary);
  }

  open({ id, spec, said }: Extract<ToWorker, { type: "open" }>): void {
    const key = JSON.stringify(spec);
    const grammar =
      this.#grammars.get(key) ?? new TokenGrammar(specGrammar(spec), this.#vocabulary, this.#trie);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    for (const oldest of this.#grammars.keys()) {
      if (this.#grammars.size <= MAX_GRAMMARS) break;
      this.#grammars.delete(oldest);
    }
    this.#live.set(id, new LiveConstraint(grammar, this.#vocabulary, said));
  }

  advance({ id, tokens, remaining, drafts }: Extract<ToWorker, { type: "advance" }>) {
    const live = this.#live.get(id);
    if (!live) throw new Error(`there is no constraint ${id}`);
    return live.advance(tokens, remaining, drafts);
  }

  close(id: number): void {
    this.#live.delete(id);
  }
}
