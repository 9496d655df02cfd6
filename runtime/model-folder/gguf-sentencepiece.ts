/**
 * A SentencePiece vocabulary (`tokenizer.ggml.model` "llama") as byte-fallback BPE. GGUF has scores
 * instead of merges: a piece is merged the earlier the higher its score, so the merges are every way
 * to cut a piece in two pieces, in the order of scores. Refuses vocabularies that are no BPE.
 * @see https://github.com/google/sentencepiece/blob/master/src/bpe_model.cc
 */
import {
  type GgufToken,
  type GgufVocabulary,
  TOKEN_KIND,
  type TokenizerParts,
} from "./gguf-vocabulary.ts";

/** What SentencePiece writes for a space. */
const SPACE = "▁";

/** @throws {WeftError} `bad_tokenizer`. */
export function sentencePiece(vocabulary: GgufVocabulary): TokenizerParts {
  const { metadata, tokens } = vocabulary;
  if (metadata.flag("tokenizer.ggml.remove_extra_whitespaces")) {
    throw vocabulary.bad("it removes repeated spaces, which is not supported");
  }
  if (metadata.has("tokenizer.ggml.precompiled_charsmap")) {
    throw vocabulary.bad("it normalises text by a table of its own, which is not supported");
  }
  const unknown = tokens.find(({ kind }) => kind === TOKEN_KIND.unknown);
  const hasBytes = tokens.some(({ kind }) => kind === TOKEN_KIND.byte);
  if (!hasBytes) throw vocabulary.bad("it has no byte tokens for what its pieces cannot spell");
  const prefixes = metadata.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const toSpace = { type: "Replace", pattern: { String: SPACE }, content: " " };
  const fromSpace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: {
      type: "Sequence",
      normalizers: [...(prefixes ? [{ type: "Prepend", prepend: SPACE }] : []), fromSpace],
    },
    preTokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [toSpace, { type: "ByteFallback" }, { type: "Fuse" }, ...(prefixes ? [strip] : [])],
    },
    model: {
      type: "BPE",
      vocab: vocabulary.ids(),
      merges: mergesByScore(vocabulary),
      unk_token: unknown?.text ?? null,
      fuse_unk: true,
      byte_fallback: true,
    },
    addsBos: true,
  };
}

function mergesByScore(vocabulary: GgufVocabulary): [string, string][] {
  const scores = vocabulary.scores();
  if (!scores) throw vocabulary.bad("it has no tokenizer.ggml.scores");
  const pieces = vocabulary.tokens.filter(({ kind }) => kind === TOKEN_KIND.normal);
  const known = new Set(pieces.map(({ text }) => text));
  const byScore = (a: GgufToken, b: GgufToken) => scores[b.id] - scores[a.id] || a.id - b.id;
  const merged = pieces.filter(({ text }) => [...text].length > 1).sort(byScore);
  const scored = new Set(merged.map(({ id }) => scores[id]));
  if (scored.size < merged.length) {
    throw vocabulary.bad("pieces share a score, so the order of their merges is not known");
  }
  return merged.flatMap(({ text }) => cuts(text, known));
}

/** Every way to make the piece of two others, the longest left part first, as Hugging Face has it. */
function cuts(text: string, known: ReadonlySet<string>): [string, string][] {
  const letters = [...text];
  const pairs: [string, string][] = [];
  for (let i = letters.length - 1; i > 0; i--) {
    const left = letters.slice(0, i).join("");
    const right = letters.slice(i).join("");
    if (known.has(left) && known.has(right)) pairs.push([left, right]);
  }
  return pairs;
}
