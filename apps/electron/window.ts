/** A tiny chat: an app window whose engine runs in the host of engines. Owns what was said. */
import { type ChatMessage, connectEngine, type EngineApi } from "weft-llm/worker";
import type { Bridge } from "./bridge.ts";
import { enginePort } from "./engine-port.ts";

declare const weft: Bridge;

const find = <E extends Element>(selector: string) => document.querySelector<E>(selector)!;
const status = find<HTMLElement>("[role=status]");
const input = find<HTMLInputElement>("input");
const button = find<HTMLButtonElement>("button");

const messages: ChatMessage[] = [];
let engine: EngineApi | undefined;

async function open(): Promise<void> {
  engine = await connectEngine({
    ...(await weft.engineOptions()),
    connect: enginePort,
    onProgress: ({ loadedBytes, totalBytes }) => {
      status.textContent = `Loading the model: ${Math.round((100 * loadedBytes) / totalBytes)} %`;
    },
  });
}

async function ask(question: string): Promise<void> {
  messages.push({ role: "user", content: question });
  line(question);
  const answer = line("");
  const request = { messages, stream: true, temperature: 0 } as const;
  const stream = await engine!.chat.completions.create(request);
  for await (const chunk of stream) answer.append(chunk.choices[0].delta.content ?? "");
  messages.push({ role: "assistant", content: answer.textContent });
}

/** As text: what a model says is no markup. */
function line(text: string): HTMLLIElement {
  const item = document.createElement("li");
  item.append(text);
  find("ol").append(item);
  return item;
}

/** One thing at a time. A failure says its cure. */
async function during(what: string, work: Promise<void>): Promise<void> {
  status.textContent = what;
  button.disabled = true;
  try {
    await work;
    status.textContent = "Ready";
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : `${error}`;
  }
  button.disabled = engine === undefined;
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = input.value;
  input.value = "";
  void during("Answering", ask(question));
});

void during("Loading the model", open());
