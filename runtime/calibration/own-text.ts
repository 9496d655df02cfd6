/**
 * Text that the model writes itself, to calibrate on: no data from elsewhere is needed, and it is of the
 * kind that answers are of. The same model, seed and device give the same text.
 */
import type { Engine } from "../engine.ts";
import { WeftError } from "../errors.ts";
import type { GenerateRequest } from "../request.ts";

export interface OwnText {
  readonly ids: readonly number[];
  /** A layer plan is judged on what is said from here on, which the model wrote itself. */
  readonly from: number;
}

export interface OwnTextOptions {
  /** To be judged on, in all texts together. */
  readonly tokens: number;
  /** Of the first text; each has its own. */
  readonly seed: number;
  /** How answers are drawn; what they answer is drawn at 1 in any case, and counts only if they are too. */
  readonly temperature: 0 | 1;
  /** What to answer first, as ids. */
  readonly prompts?: readonly (readonly number[])[];
  readonly signal?: AbortSignal;
}

/** Longer ones would be few, and so of few subjects. */
const LONGEST_TEXT = 128;
const LONGEST_QUESTION = 48;
/** Texts that are written beside each other, where one may be as short as a few tokens. */
const BATCH = 8;
const SHORT_TEXT = 16;
/** As ordinary as a name can be that no template says. */
const MARKER = "Weftmarker";

/**
 * Answers to the prompts, then by turns answers to what the model itself asks in the user's place, where it
 * has a chat template, and what it writes with nothing before it.
 */
export async function ownTexts(engine: Engine, options: OwnTextOptions): Promise<OwnText[]> {
  const { tokens, seed } = options;
  const texts: OwnText[] = [];
  let missing = tokens;
  // Each text brings a token or more, so it ends.
  while (missing > 0) {
    const first = texts.length;
    const length = Math.min(BATCH, Math.ceil(missing / SHORT_TEXT));
    const batch = Array.from({ length }, (_, i) =>
      ownText(engine, first + i, { ...options, seed: seed + 2 * (first + i) }),
    );
    for (const { ids, from } of await Promise.all(batch)) {
      const end = Math.min(ids.length, from + missing);
      missing -= end - from;
      texts.push({ ids: ids.slice(0, end), from });
      if (missing === 0) return texts;
    }
  }
  return texts;
}

async function ownText(engine: Engine, index: number, options: OwnTextOptions): Promise<OwnText> {
  const { prompts = [], seed, temperature, tokens } = options;
  const given = prompts.at(index);
  const question =
    given === undefined && index % 2 === 0
      ? await ownQuestion(engine, { ...options, seed: seed + 1 })
      : undefined;
  const opening =
    given ?? question?.ids ?? engine.text.encodePrompt("", engine.plan.spec.vocabSize);
  const maxTokens = Math.min(LONGEST_TEXT, tokens);
  const request = { ...AS_IT_IS, prompt: opening, temperature, seed, maxTokens };
  const written = await write(engine, request, options);
  const isOneText = question !== undefined && temperature === 1;
  return { ids: [...opening, ...written.ids], from: isOneText ? question.from : opening.length };
}

/** The prompt that asks what the model says where its template has the user speak. */
async function ownQuestion(engine: Engine, options: OwnTextOptions): Promise<OwnText | undefined> {
  const { tokenizer } = engine.text;
  const marked = chatText(engine, MARKER);
  const at = marked?.indexOf(MARKER) ?? -1;
  if (marked === undefined || at < 0) return undefined;
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const prompt = encode(marked.slice(0, at));
  if (prompt.length === 0) return undefined;
  const { seed, tokens } = options;
  const maxTokens = Math.min(LONGEST_QUESTION, tokens);
  const request = { ...AS_IT_IS, prompt, temperature: 1, seed, maxTokens };
  const question = (await write(engine, request, options)).text.trim();
  const text = question === "" ? undefined : chatText(engine, question);
  return text === undefined ? undefined : { ids: encode(text), from: prompt.length };
}

/** Undefined where there is no template, or one that refuses a user who is alone. */
function chatText(engine: Engine, content: string): string | undefined {
  try {
    return engine.text.template.render({ messages: [{ role: "user", content }] });
  } catch (error) {
    const isTemplate = error instanceof WeftError && /chat_template/.test(error.code);
    if (!isTemplate) throw error;
    return undefined;
  }
}

/** Drawn from what the model says, whatever its generation_config.json recommends. */
const AS_IT_IS = { topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

async function write(engine: Engine, request: GenerateRequest, { signal }: OwnTextOptions) {
  const ids: number[] = [];
  let text = "";
  for await (const chunk of engine.generate(request, { signal })) {
    ids.push(...chunk.tokenIds);
    text += chunk.text;
  }
  return { ids, text };
}
