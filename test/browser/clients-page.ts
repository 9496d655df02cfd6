// In a page: the official `openai` client and the AI SDK over one engine in a worker.

import { generateObject, type JSONSchema7, jsonSchema, streamText } from "ai";
import OpenAI from "openai";
import { weft } from "weft-llm/ai-sdk";
import { createHandler } from "weft-llm/server";
import { createEngine } from "weft-llm/worker";

const SORT = "Sort these words: pear, wolf, apple";
const JSON_OF = "Write JSON with the keys name and age. name is Anna, age is 31";
const PERSON: JSONSchema7 & Record<string, unknown> = {
  type: "object",
  properties: { name: { type: "string", maxLength: 10 }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

let worker: Worker;
const engine = await createEngine({
  ...{ model: `${location.origin}/models/demo`, device: "reference", store: false },
  worker: () => {
    worker = new Worker("/dist/engine-worker.js", { type: "module" });
    return worker;
  },
});
const handle = createHandler(engine);
const keyless = { apiKey: "none", dangerouslyAllowBrowser: true };
const inPage = new OpenAI({
  ...keyless,
  baseURL: "http://localhost/v1",
  fetch: (url, init) => handle(new Request(url, init)),
});
const overHttp = new OpenAI({ ...keyless, baseURL: `${location.origin}/v1`, maxRetries: 8 });

/** A plain chat, and one that asks for a form; what a model that is not there says; a stream that is left. */
async function ask(client: OpenAI) {
  const model = (await client.models.list()).data[0].id;
  const sort = { model, temperature: 0, messages: [{ role: "user" as const, content: SORT }] };
  const stream = await client.chat.completions.create({ ...sort, stream: true });
  const pieces: string[] = [];
  for await (const { choices } of stream) pieces.push(choices[0]?.delta.content ?? "");
  const { choices } = await client.chat.completions.create({
    ...{ model, temperature: 0, messages: [{ role: "user", content: JSON_OF }] },
    response_format: { type: "json_schema", json_schema: { name: "person", schema: PERSON } },
  });
  const refused = await client.chat.completions.create({ ...sort, model: "gpt-5" }).catch((e) => e);
  const left = await client.chat.completions.create({ ...sort, max_tokens: 400, stream: true });
  for await (const _ of left) break;
  return {
    pieces,
    person: choices[0].message.content,
    refused: [refused instanceof OpenAI.NotFoundError, refused.code],
  };
}

async function aiSdk() {
  const model = weft(engine)();
  const pieces: string[] = [];
  const { textStream } = streamText({ model, prompt: SORT, temperature: 0 });
  for await (const piece of textStream) pieces.push(piece);
  const schema = jsonSchema<{ name: string; age: number }>(PERSON);
  const { object } = await generateObject({ model, prompt: JSON_OF, temperature: 0, schema });
  return { pieces, object };
}

/** The service worker asks for an end of a channel to the page's worker. */
async function serveFrom(script: string): Promise<void> {
  const { serviceWorker } = navigator;
  serviceWorker.addEventListener("message", ({ ports }) =>
    worker.postMessage("connect", [...ports]),
  );
  serviceWorker.startMessages();
  await serviceWorker.register(script, { type: "module" });
  await serviceWorker.ready;
  if (serviceWorker.controller) return;
  await new Promise((taken) => serviceWorker.addEventListener("controllerchange", taken));
}

/** What an engine that is made in a service worker is, or its error. */
async function madeIn(script: string): Promise<unknown> {
  const registration = await navigator.serviceWorker.register(script, {
    ...{ type: "module", scope: `${script}/` },
  });
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise<unknown>((told) => {
    port1.onmessage = ({ data }) => told(data);
  });
  (registration.installing ?? registration.active)!.postMessage("make", [port2]);
  return answer;
}

export const page = {
  openai: () => ask(inPage),
  overServiceWorker: () => ask(overHttp),
  running: async () => (await engine.metrics()).now.running,
  ...{ aiSdk, serveFrom, madeIn },
};
Object.assign(globalThis, { clients: page });
