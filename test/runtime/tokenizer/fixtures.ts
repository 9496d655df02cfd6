// Small tokenizer.json files of the kinds that models have, made by hand.

const SPECIAL = ["<|end|>", "<|start|>"];
/** Added, but part of the text; of letters outside ASCII too. */
const ADDED = ["<think>", "｜tool｜"];

type Step = Record<string, unknown>;

interface Parts {
  readonly model: Step;
  readonly vocabSize: number;
  readonly normalizer?: Step;
  readonly preTokenizer?: Step;
  readonly postProcessor?: Step;
  readonly decoder: Step;
}

function tokenizerJson(parts: Parts): Record<string, unknown> {
  const { model, vocabSize } = parts;
  const added_tokens = [...SPECIAL, ...ADDED].map((content, i) => ({
    id: vocabSize + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i < SPECIAL.length,
  }));
  return {
    version: "1.0",
    added_tokens,
    normalizer: parts.normalizer ?? null,
    pre_tokenizer: parts.preTokenizer ?? null,
    post_processor: parts.postProcessor ?? null,
    decoder: parts.decoder,
    model,
  };
}

const numbered = (tokens: readonly string[]) => Object.fromEntries(tokens.map((t, i) => [t, i]));

/** The 256 letters of byte-level BPE, by byte. */
export const BYTE_LETTERS: readonly string[] = (() => {
  const letters: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const visible = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    letters.push(String.fromCharCode(visible ? byte : next++));
  }
  return letters;
})();

/** Parts of characters among them: two bytes of the euro sign, three of an emoji. */
const BYTE_MERGES: [string, string][] = [
  ["t", "h"],
  ["th", "e"],
  ["Ġ", "the"],
  ["l", "l"],
  ["Ġ", "Ġ"],
  ["â", "Ĥ"],
  ["ð", "Ł"],
  ["ðŁ", "ĺ"],
  ["Ċ", "Ċ"],
];

/** GPT-2, Llama 3, Qwen. */
export function byteLevelTokenizer(): Record<string, unknown> {
  const tokens = [...BYTE_LETTERS, ...BYTE_MERGES.map((pair) => pair.join(""))];
  return tokenizerJson({
    model: { type: "BPE", vocab: numbered(tokens), merges: BYTE_MERGES },
    vocabSize: tokens.length,
    preTokenizer: {
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    },
    postProcessor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: "<|start|>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
      ],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
      special_tokens: {
        "<|start|>": { id: "<|start|>", ids: [tokens.length + 1], tokens: ["<|start|>"] },
      },
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  });
}

const PIECES = ["▁", "▁▁", "▁the", "the", "▁a", "a", "b", "é", "▁<", "\n"];

/** Llama 2, Mistral: text pieces, and single bytes for what they cannot spell. */
export function sentencePieceTokenizer(): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, byte) => {
    return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  });
  const tokens = ["<unk>", ...bytes, ...PIECES];
  return tokenizerJson({
    model: {
      type: "BPE",
      vocab: numbered(tokens),
      merges: [],
      byte_fallback: true,
      unk_token: "<unk>",
    },
    vocabSize: tokens.length,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
  });
}

/** T5's kind: the first space depends on what stands first, so bytes will not do. */
export function metaspaceTokenizer(): Record<string, unknown> {
  return tokenizerJson({
    model: { type: "Unigram", unk_id: 0, vocab: ["<unk>", ...PIECES].map((t, i) => [t, -i]) },
    vocabSize: PIECES.length + 1,
    preTokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
  });
}

/** BERT's kind: a token's space depends on whether it is the first. */
export function wordPieceTokenizer(): Record<string, unknown> {
  const tokens = ["[UNK]", "the", "a", "##s", "##ing", "b", ".", "é"];
  return tokenizerJson({
    model: { type: "WordPiece", unk_token: "[UNK]", vocab: numbered(tokens) },
    vocabSize: tokens.length,
    preTokenizer: { type: "Whitespace" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: false },
  });
}

export const TOKENIZERS: [name: string, json: () => Record<string, unknown>][] = [
  ["byte-level", byteLevelTokenizer],
  ["SentencePiece", sentencePieceTokenizer],
  ["Metaspace", metaspaceTokenizer],
  ["WordPiece", wordPieceTokenizer],
];
