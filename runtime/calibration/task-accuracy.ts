/** Tasks with known answers: how many a model gets right by a layer plan. */

import type { Engine } from "../engine.ts";
import { WeftError } from "../errors.ts";
import type { LayerPolicy } from "../layer-policy.ts";
import type { ChatMessage } from "../openai/chat-request.ts";
import { renderChat } from "../openai/prompt-plan.ts";
import { wilsonInterval } from "./wilson.ts";

/** A question, as a text or as messages for the chat template, and its one right answer. */
export interface CalibrationTask {
  readonly prompt?: string;
  readonly messages?: readonly ChatMessage[];
  readonly tools?: readonly object[];
  /** For templates of models that think. */
  readonly enableThinking?: boolean;
  readonly answer: string;
}

export interface TaskAccuracy {
  /** Share of tasks whose answer is right. */
  readonly accuracy: number;
  /** 95 % Wilson interval. */
  readonly interval: readonly [low: number, high: number];
  readonly tasks: number;
}

const LONGEST_ANSWER = 512;
/** Requests at once. */
const BATCH = 16;
const THINKING_END = "</think>";

/**
 * Tasks of JSON lines; other fields than a task's are passed over.
 * @param location Of the file, for messages.
 * @throws {WeftError} `bad_file` that names the line.
 */
export function readTasks(text: string, location: string): CalibrationTask[] {
  const lines = text.split(/\r?\n/).map((line, i) => ({ line, number: i + 1 }));
  const tasks = lines
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, number }) => readTask(line, `${location}, line ${number}`));
  if (tasks.length > 0) return tasks;
  throw new WeftError(
    "bad_file",
    `${location} has no task; write one JSON object with prompt and answer on each line`,
  );
}

function readTask(line: string, where: string): CalibrationTask {
  const wrong = (required: string): never => {
    throw new WeftError(
      "bad_file",
      `${where} is ${line.slice(0, 80)}, ${required}; write a line like {"prompt":"1+1=","answer":"2"}`,
    );
  };
  let task: CalibrationTask;
  try {
    task = Object(JSON.parse(line));
  } catch {
    return wrong("it must be JSON");
  }
  const { prompt, messages, tools, enableThinking, answer } = task;
  if (typeof answer !== "string") wrong("its answer must be a text");
  if ((prompt === undefined) === (messages === undefined)) {
    wrong("it must have one of prompt and messages");
  }
  if (prompt !== undefined && typeof prompt !== "string") wrong("its prompt must be a text");
  const isMessage = (message: unknown) => typeof Object(message).role === "string";
  if (messages && !(Array.isArray(messages) && messages.length > 0 && messages.every(isMessage))) {
    wrong("its messages must be a list of objects with a role");
  }
  if (tools !== undefined && !Array.isArray(tools)) wrong("its tools must be a list");
  if (enableThinking !== undefined && typeof enableThinking !== "boolean") {
    wrong("its enableThinking must be true or false");
  }
  return { prompt, messages, tools, enableThinking, answer };
}

/** @throws {WeftError} `no_chat_template`, `chat_template_failed` for messages. */
export function taskPrompt(engine: Engine, task: CalibrationTask): number[] {
  const { prompt, messages, tools, enableThinking } = task;
  if (messages === undefined) {
    return engine.text.encodePrompt(prompt ?? "", engine.plan.spec.vocabSize);
  }
  return renderChat(engine, {
    ...{ messages, tools },
    ...(enableThinking !== undefined && {
      chat_template_kwargs: { enable_thinking: enableThinking },
    }),
  });
}

export interface TaskOptions {
  readonly tasks: readonly CalibrationTask[];
  /** Longer answers are cut, and wrong. Default 512. */
  readonly maxAnswerTokens?: number;
  readonly signal?: AbortSignal;
}

/** Greedy answers, trimmed and without their thinking, against the right ones, letter by letter. */
export async function taskAccuracy(
  engine: Engine,
  options: TaskOptions,
  layerPolicy?: LayerPolicy,
): Promise<TaskAccuracy> {
  const { tasks } = options;
  let right = 0;
  for (let first = 0; first < tasks.length; first += BATCH) {
    const batch = tasks.slice(first, first + BATCH).map(async (task) => {
      const answer = await answerOf(engine, task, options, layerPolicy);
      return answer === task.answer.trim();
    });
    right += (await Promise.all(batch)).filter(Boolean).length;
  }
  const interval = wilsonInterval(right, tasks.length);
  return { accuracy: right / tasks.length, interval, tasks: tasks.length };
}

async function answerOf(
  engine: Engine,
  task: CalibrationTask,
  { maxAnswerTokens = LONGEST_ANSWER, signal }: TaskOptions,
  layerPolicy: LayerPolicy | undefined,
): Promise<string> {
  const prompt = taskPrompt(engine, task);
  const maxTokens = Math.min(maxAnswerTokens, engine.plan.maxContext - prompt.length + 1);
  const request = { prompt, temperature: 0, maxTokens, layerPolicy };
  let text = "";
  for await (const chunk of engine.generate(request, { signal })) text += chunk.text;
  return text.split(THINKING_END).at(-1)!.trim();
}
