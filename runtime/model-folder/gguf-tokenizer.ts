/**
 * From the vocabulary in a GGUF file to the tokenizer.json, tokenizer_config.json and
 * generation_config.json that its Hugging Face folder has. Owns what GGUF leaves out because
 * llama.cpp knows it by name. Refuses by name what it cannot say exactly.
 */
import { PRE_TOKENIZERS, type PreTokenizer } from "./gguf-pre-tokenizers.ts";
import { sentencePiece } from "./gguf-sentencepiece.ts";
import {
  type GgufToken,
  type GgufVocabulary,
  TOKEN_KIND,
  type TokenizerParts,
} from "./gguf-vocabulary.ts";

/** @throws {WeftError} `bad_tokenizer` for a kind of vocabulary or a pre-tokenizer not known here. */
export function ggufTokenizer(vocabulary: GgufVocabulary): object {
  const parts = tokenizerParts(vocabulary);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: vocabulary.tokens.filter(isAdded).map(addedToken),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: postProcessor(vocabulary, parts.addsBos),
    decoder: parts.decoder,
    model: parts.model,
  };
}

export function ggufTokenizerConfig(vocabulary: GgufVocabulary): object {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    bos_token: vocabulary.special("bos")?.text,
    eos_token: vocabulary.special("eos")?.text,
    unk_token: vocabulary.special("unknown")?.text,
    pad_token: vocabulary.special("padding")?.text,
    chat_template: chatTemplates(vocabulary),
  };
}

/** Texts that end a turn or a document, which llama.cpp finds by name: GGUF has room for few ids. */
const END_TEXTS = [
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<｜end▁of▁sentence｜>",
];

/** gpt-oss ends each part of an answer with `<|end|>`, and goes on: these end it. */
const HARMONY_ENDS = ["<|return|>", "<|call|>"];

export function ggufGenerationConfig(vocabulary: GgufVocabulary): object {
  const { metadata, idOf } = vocabulary;
  const isHarmony = HARMONY_ENDS.every((text) => idOf.has(text));
  const texts = isHarmony ? [...HARMONY_ENDS, "<|endoftext|>"] : END_TEXTS;
  const ids = [
    ...(["eos", "eot", "eom"] as const).map((role) => vocabulary.special(role)?.id),
    ...texts.map((text) => idOf.get(text)),
  ];
  return {
    eos_token_id: [...new Set(ids.filter((id) => id !== undefined))],
    temperature: metadata.number("general.sampling.temp"),
    top_k: metadata.count("general.sampling.top_k"),
    top_p: metadata.number("general.sampling.top_p"),
    min_p: metadata.number("general.sampling.min_p"),
    repetition_penalty: metadata.number("general.sampling.penalty_repeat"),
  };
}

function tokenizerParts(vocabulary: GgufVocabulary): TokenizerParts {
  const model = vocabulary.metadata.requiredText("tokenizer.ggml.model");
  if (model === "gpt2") return byteLevel(vocabulary);
  if (model === "llama") return sentencePiece(vocabulary);
  throw vocabulary.bad(
    `tokenizer.ggml.model is ${JSON.stringify(model)}, gpt2 and llama are supported`,
  );
}

function byteLevel(vocabulary: GgufVocabulary): TokenizerParts {
  const { metadata } = vocabulary;
  const { normalizer, preTokenizer, ignoreMerges, addsBos } = preTokenizerOf(vocabulary);
  const merges = metadata.requiredTexts("tokenizer.ggml.merges").map((merge, i) => {
    // A piece is never empty, so a leading space belongs to it.
    const space = merge.indexOf(" ", 1);
    if (space > 0) return [merge.slice(0, space), merge.slice(space + 1)];
    throw vocabulary.bad(`merge ${i} is ${JSON.stringify(merge)}, not two tokens`);
  });
  return {
    normalizer,
    preTokenizer,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", vocab: vocabulary.ids(), merges, ignore_merges: ignoreMerges },
    addsBos,
  };
}

function preTokenizerOf(vocabulary: GgufVocabulary): PreTokenizer {
  const name = vocabulary.metadata.text("tokenizer.ggml.pre") ?? "default";
  const known = PRE_TOKENIZERS.get(name);
  if (known) return known;
  throw vocabulary.bad(
    `tokenizer.ggml.pre is ${JSON.stringify(name)}, known are ${[...PRE_TOKENIZERS.keys()].join(", ")}`,
  );
}

/** Found in a text before it is cut into words. */
const isAdded = ({ kind }: GgufToken): boolean =>
  kind === TOKEN_KIND.control || kind === TOKEN_KIND.userDefined || kind === TOKEN_KIND.unknown;

const addedToken = ({ id, text, kind }: GgufToken): object => ({
  id,
  content: text,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: kind !== TOKEN_KIND.userDefined,
});

function postProcessor(vocabulary: GgufVocabulary, addsBos: boolean): object | null {
  const { metadata } = vocabulary;
  const wanted = (role: "bos" | "eos", fallback: boolean): GgufToken[] => {
    const key = `tokenizer.ggml.add_${role}_token`;
    if (!(metadata.flag(key) ?? fallback)) return [];
    const token = vocabulary.special(role);
    if (token) return [token];
    if (metadata.has(key))
      throw vocabulary.bad(`it adds ${role} to texts and has no ${role} token`);
    return [];
  };
  const first = wanted("bos", addsBos);
  const last = wanted("eos", false);
  if (first.length + last.length === 0) return null;
  const special = ({ text }: GgufToken) => ({ SpecialToken: { id: text, type_id: 0 } });
  const single = [
    ...first.map(special),
    { Sequence: { id: "A", type_id: 0 } },
    ...last.map(special),
  ];
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: Object.fromEntries(
      [...first, ...last].map(({ id, text }) => [text, { id: text, ids: [id], tokens: [text] }]),
    ),
  };
}

/** One template, or several by name, as tokenizer_config.json has them. */
function chatTemplates({ metadata }: GgufVocabulary): unknown {
  const template = metadata.text("tokenizer.chat_template");
  const names = metadata.texts("tokenizer.chat_templates") ?? [];
  if (names.length === 0) return template;
  return [
    ...(template === undefined ? [] : [{ name: "default", template }]),
    ...names.map((name) => ({
      name,
      template: metadata.requiredText(`tokenizer.chat_template.${name}`),
    })),
  ];
}
