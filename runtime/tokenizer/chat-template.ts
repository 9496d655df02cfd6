/**
 * Messages to prompt text with the model's own Jinja template. Owns which template applies. A model
 * without one loads; it only cannot chat.
 */
import { reasonOf, WeftError } from "../errors.ts";
import { BoundedTemplate } from "./bounded-template.ts";

export interface ChatTemplateFiles {
  /** chat_template.jinja; comes before tokenizer_config.json's. */
  readonly jinja?: string;
  /** tokenizer_config.json's `chat_template`: a template, or several by name. */
  readonly configured?: unknown;
  /** `bos_token`, `eos_token` and the like: variables of every template. */
  readonly specialTokens: Readonly<Record<string, string>>;
}

export interface ChatInput {
  /** As the template wants them; OpenAI's shape with texts as content is understood by all. */
  readonly messages: readonly object[];
  readonly tools?: readonly object[];
  /** Open the assistant's turn at the end. */
  readonly addGenerationPrompt?: boolean;
  /** For models that think; undefined leaves it to the template. */
  readonly enableThinking?: boolean;
  /** More variables, for what only this model's template knows. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export class ChatTemplate {
  readonly #sources: ReadonlyMap<string, string>;
  readonly #specialTokens: Readonly<Record<string, string>>;
  readonly #parsed = new Map<string, BoundedTemplate>();

  constructor({ jinja, configured, specialTokens }: ChatTemplateFiles) {
    this.#sources = jinja === undefined ? namedTemplates(configured) : new Map([[DEFAULT, jinja]]);
    this.#specialTokens = specialTokens;
  }

  /** Of all templates there are; "" without one. */
  get source(): string {
    return [...this.#sources.values()].join("\n");
  }

  /**
   * The prompt; encode it without adding special tokens, it has them.
   * @throws {WeftError} `no_chat_template`, `chat_template_failed` with the template's own words.
   */
  render({ messages, tools, addGenerationPrompt, enableThinking, variables }: ChatInput): string {
    const template = this.#template(tools !== undefined);
    try {
      return template.render({
        ...this.#specialTokens,
        ...variables,
        ...(enableThinking === undefined ? {} : { enable_thinking: enableThinking }),
        messages,
        // Templates test it for truth or for none; transformers passes None too.
        tools: tools ?? null,
        add_generation_prompt: addGenerationPrompt ?? true,
      });
    } catch (cause) {
      if (cause instanceof WeftError) throw cause;
      throw new WeftError(
        "chat_template_failed",
        `the model's chat template refused these messages: ${reasonOf(cause)}; change their roles, ` +
          `order or content to what the model was trained on`,
        { cause },
      );
    }
  }

  #template(withTools: boolean): BoundedTemplate {
    const name = withTools && this.#sources.has(TOOL_USE) ? TOOL_USE : DEFAULT;
    const source = this.#sources.get(name);
    if (source === undefined) {
      throw new WeftError(
        "no_chat_template",
        "the model has no chat template (chat_template.jinja, or chat_template in " +
          "tokenizer_config.json); use completions, or take the model's instruct version",
      );
    }
    let template = this.#parsed.get(name);
    if (!template) {
      template = parse(source);
      this.#parsed.set(name, template);
    }
    return template;
  }
}

/** Names that transformers gives a meaning to. */
const DEFAULT = "default";
const TOOL_USE = "tool_use";

/** A text, a list of `{name, template}`, or an object of texts; anything else is no template. */
function namedTemplates(configured: unknown): ReadonlyMap<string, string> {
  if (typeof configured === "string") return new Map([[DEFAULT, configured]]);
  const pairs: [unknown, unknown][] = Array.isArray(configured)
    ? configured.map((entry) => [entry?.name, entry?.template])
    : Object.entries(configured ?? {});
  const isNamed = (pair: [unknown, unknown]): pair is [string, string] =>
    pair.every((part) => typeof part === "string");
  return new Map(pairs.filter(isNamed));
}

function parse(source: string): BoundedTemplate {
  try {
    return new BoundedTemplate(source);
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
    throw new WeftError(
      "chat_template_failed",
      `the model's chat template is not valid Jinja: ${reasonOf(cause)}; take it from the model's ` +
        `publisher`,
      { cause },
    );
  }
}
