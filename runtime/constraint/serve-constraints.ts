/** The worker's side: keeps the constraints of one vocabulary, and the grammars that they were last made of. */
import { WeftError } from "../errors.ts";
import type { Port } from "../remote/port.ts";
import type { ConstraintSpec } from "./constraint.ts";
import { LiveConstraint } from "./live-constraint.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { specGrammar } from "./spec-grammar.ts";
import { TokenGrammar } from "./token-grammar.ts";
import { TokenTrie } from "./token-trie.ts";
import { type TokenVocabulary, withSpecials } from "./vocabulary.ts";

const MAX_GRAMMARS = 16;

type Asked<T extends ToWorker["type"]> = Extract<ToWorker, { type: T }>;

export function serveConstraints(port: Port): void {
  let host: ConstraintHost | undefined;
  port.listen((received) => {
    const message = received as ToWorker;
    if (message.type === "vocabulary") host = new ConstraintHost(message.vocabulary);
    else if (message.type === "close") host?.close(message.id);
    else if (message.type === "validate") void validated(message).then((done) => port.post(done));
    else port.post(reply(host!, message));
  });
}

async function validated({ call, schema, text }: Asked<"validate">): Promise<FromWorker> {
  try {
    const { validateJson } = await import("./validate-json.ts");
    return { type: "validated", call, problem: await validateJson(schema, text) };
  } catch (error) {
    return { type: "failed", call, error: WeftError.from(error).toJSON() };
  }
}

function reply(host: ConstraintHost, message: Asked<"open" | "advance">): FromWorker {
  const { call } = message;
  try {
    if (message.type === "open") host.open(message);
    else return { type: "reply", call, answer: host.advance(message) };
    return { type: "reply", call };
  } catch (error) {
    return { type: "failed", call, error: WeftError.from(error).toJSON() };
  }
}

interface Tokens {
  readonly vocabulary: TokenVocabulary;
  readonly trie: TokenTrie;
}

class ConstraintHost {
  readonly #vocabulary: TokenVocabulary;
  /** By the special tokens that are among the others. */
  readonly #tokens = new Map<string, Tokens>();
  /** By the spec as JSON, last used last. */
  readonly #grammars = new Map<string, TokenGrammar>();
  readonly #live = new Map<number, LiveConstraint>();

  constructor(vocabulary: TokenVocabulary) {
    this.#vocabulary = vocabulary;
  }

  open({ id, spec, said }: Asked<"open">): void {
    const key = JSON.stringify(spec);
    const { vocabulary, trie } = this.#tokensOf(spec);
    const grammar =
      this.#grammars.get(key) ?? new TokenGrammar(specGrammar(spec), vocabulary, trie);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    for (const oldest of this.#grammars.keys()) {
      if (this.#grammars.size <= MAX_GRAMMARS) break;
      this.#grammars.delete(oldest);
    }
    this.#live.set(id, new LiveConstraint(grammar, vocabulary, said));
  }

  advance({ id, tokens, remaining, drafts }: Asked<"advance">) {
    const live = this.#live.get(id);
    if (!live) throw new Error(`there is no constraint ${id}`);
    return live.advance(tokens, remaining, drafts);
  }

  #tokensOf(spec: ConstraintSpec): Tokens {
    const { specials, endTokenIds } = this.#vocabulary;
    const wanted = spec.type === "structural_tag" ? spec.specialTokens : [];
    // What ends an answer ends it here too.
    const ids = [...new Set(wanted)].map((text) => [text, specials.get(text)] as const);
    const named = ids.flatMap(([text, id]) =>
      id === undefined || endTokenIds.includes(id) ? [] : [text],
    );
    named.sort();
    const key = JSON.stringify(named);
    const known = this.#tokens.get(key);
    if (known) return known;
    const vocabulary = withSpecials(this.#vocabulary, named);
    const tokens = { vocabulary, trie: new TokenTrie(vocabulary) };
    this.#tokens.set(key, tokens);
    return tokens;
  }

  close(id: number): void {
    this.#live.delete(id);
  }
}
