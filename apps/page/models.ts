/** The models that the page offers by name, and what people may ask each. */

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

/** What the demo models know; a larger one knows it too. */
export const SUGGESTIONS: readonly string[] = [
  "Tell me a story about a fox named Lily.",
  "Sort these words: pear, wolf, apple, lamp",
  "What is 47 + 38?",
  "My dog is called Rex. What is my dog called?",
  "Write JSON with the keys name and age. name is Anna, age is 31",
];

const HEROES = ["fox", "owl", "bear", "cat", "duck", "wolf", "frog", "horse"];
const NAMES = ["Lily", "Paul", "Mia", "Tom", "Rosa", "Noah", "Ida", "Hugo", "Eva"];

/** The n-th of many stories, for the background. */
export const storyPrompt = (n: number): string =>
  `Tell me a story about a ${HEROES[n % HEROES.length]} named ${NAMES[n % NAMES.length]}.`;
