/** `<weft-answer-options>`: what an answer may be and take: a form, so much thinking, tools. Folded until wanted. */
import type { ChatCompletionRequest } from "../../worker.ts";
import { ANSWER_FORMS, type AnswerForm } from "./answer-forms.ts";
import { make, options } from "./make.ts";
import { TOOL_NAMES, TOOLS } from "./tools.ts";

/** What is asked of an answer beside its question. */
export type AnswerRequest = Pick<
  ChatCompletionRequest,
  "response_format" | "thinking_budget" | "tools"
>;

const THINKING_TOKENS = [8, 32, 128, 512];

export class AnswerOptions extends HTMLElement {
  /** Of the conversation, for labels. */
  name = "";
  /** A form was chosen that this question shows. */
  onPropose: (question: string) => void = () => {};
  readonly #chosen = make("span");
  readonly #details = make("details", {}, make("summary", {}, "Answer: ", this.#chosen));
  readonly #form = make(
    "select",
    { name: "form" },
    ...options([["", "any"], ...ANSWER_FORMS.map(({ key, name }) => [key, name] as const)]),
  );
  readonly #text = make("textarea", { name: "form-text", rows: 2, spellcheck: "false" });
  readonly #problem = make("p", { class: "problem", role: "alert" });
  readonly #thinking = make(
    "select",
    { name: "thinking" },
    ...options([
      ["", "as the model likes"],
      ["0", "none"],
      ...THINKING_TOKENS.map((n) => [`${n}`, `at most ${n} tokens`] as const),
    ]),
  );
  readonly #tools = make("input", { type: "checkbox", name: "tools" });

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    this.#problem.id = `form-problem-${this.name}`;
    this.#text.setAttribute("aria-describedby", this.#problem.id);
    const fields = make(
      "div",
      { class: "fields" },
      make("label", {}, "Form ", this.#form),
      make("label", {}, "Thinking ", this.#thinking),
      make("label", {}, this.#tools, ` Tools: ${TOOL_NAMES}`),
    );
    this.#details.append(fields, this.#text, this.#problem);
    this.append(this.#details);
    this.#form.addEventListener("change", () => this.#useForm());
    this.#text.addEventListener("input", () => this.#tell(""));
    for (const field of [this.#thinking, this.#tools])
      field.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** As a suggestion wants it; the rest stays. */
  set({ form, tools }: { form?: AnswerForm["key"]; tools?: boolean }): void {
    if (form !== undefined && form !== this.#form.value) {
      this.#form.value = form;
      this.#useForm();
    }
    if (tools !== undefined) this.#tools.checked = tools;
    this.#show();
  }

  /** @returns Undefined where the form's text says nothing; why is told at the field. */
  read(): AnswerRequest | undefined {
    try {
      return {
        response_format: this.#chosenForm?.format(this.#text.value),
        thinking_budget: this.#thinking.value === "" ? undefined : Number(this.#thinking.value),
        tools: this.#tools.checked ? TOOLS : undefined,
      };
    } catch (error) {
      this.#details.open = true;
      this.#text.focus();
      this.#tell(error instanceof Error ? `no JSON: ${error.message}` : `${error}`);
      return undefined;
    }
  }

  get #chosenForm(): AnswerForm | undefined {
    return ANSWER_FORMS.find(({ key }) => key === this.#form.value);
  }

  #useForm(): void {
    const form = this.#chosenForm;
    this.#text.value = form?.example ?? "";
    this.#show();
    if (form) this.onPropose(form.question);
  }

  #show(): void {
    const form = this.#chosenForm;
    this.#text.hidden = form === undefined;
    if (form) this.#text.setAttribute("aria-label", `${form.takes}, for answers of ${this.name}`);
    this.#tell("");
    const [thinking] = this.#thinking.selectedOptions;
    this.#chosen.textContent = [
      form?.name ?? "of any form",
      ...(thinking.value === "" ? [] : [`thinking ${thinking.textContent}`]),
      ...(this.#tools.checked ? ["tools"] : []),
    ].join(" · ");
  }

  #tell(problem: string): void {
    this.#problem.textContent = problem;
    this.#problem.hidden = problem === "";
    if (problem === "") this.#text.removeAttribute("aria-invalid");
    else this.#text.setAttribute("aria-invalid", "true");
  }
}

customElements.define("weft-answer-options", AnswerOptions);
