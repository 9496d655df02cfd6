/** The models that the page offers by name, and what people may ask each. */
import type { AnswerForm } from "./answer-forms.ts";

export interface OfferedModel {
  readonly key: string;
  readonly name: string;
  /** Relative to the page. */
  readonly path: string;
  readonly memoryBudgetBytes?: number;
  /** Before every conversation; alike for all, so its keys and values are computed once and shared. */
  readonly systemPrompt: string;
}

const SYSTEM_PROMPT = "You are a helpful assistant. Answer in short and simple sentences.";

/** Small enough to see in the KV map, large enough for eight stories. */
const DEMO_BUDGET_BYTES = 16e6;

export const MODELS: readonly OfferedModel[] = [
  {
    key: "demo",
    name: "Demo, 1.9 M parameters",
    path: "../models/demo/",
    memoryBudgetBytes: DEMO_BUDGET_BYTES,
    systemPrompt: SYSTEM_PROMPT,
  },
  {
    key: "demo-moe",
    name: "Demo, 8 experts, 1.9 M",
    path: "../models/demo-moe/",
    memoryBudgetBytes: DEMO_BUDGET_BYTES,
    systemPrompt: SYSTEM_PROMPT,
  },
];

export const systemPromptOf = (key: string): string | undefined =>
  MODELS.find((model) => model.key === key)?.systemPrompt;

export interface Suggestion {
  readonly text: string;
  /** What it shows; said beside it. */
  readonly with?: string;
  readonly form?: AnswerForm["key"];
  readonly tools?: boolean;
}

/** What the demo models know; a larger one knows it too. */
export const SUGGESTIONS: readonly Suggestion[] = [
  { text: "Tell me a story about a fox named Lily." },
  { text: "Sort these words: pear, wolf, apple, lamp" },
  { text: "What is 47 + 38?" },
  { text: "My dog is called Rex. What is my dog called?" },
  {
    text: "Write JSON with the keys name, age and color. name is Anna, age is 31, color is red",
    ...{ with: "by a schema", form: "json_schema" },
  },
  { text: "What time is it in Rome?", with: "with tools", tools: true },
];

const HEROES = ["fox", "owl", "bear", "cat", "duck", "wolf", "frog", "horse"];
const NAMES = ["Lily", "Paul", "Mia", "Tom", "Rosa", "Noah", "Ida", "Hugo", "Eva"];

/** The n-th of many stories, for the background. */
export const storyPrompt = (n: number): string =>
  `Tell me a story about a ${HEROES[n % HEROES.length]} named ${NAMES[n % NAMES.length]}.`;
