/** Texts through the step loop to their embeddings. Owns their common end: one that fails ends them all. */
import type { SequenceId } from "../scheduler/work-plan.ts";
import { onAbort } from "./abort-listeners.ts";
import { adapterNumber } from "./adapters/adapter-number.ts";
import { abortError, throwIfAborted, WeftError } from "./errors.ts";
import type { LazyPooler } from "./lazy-pooler.ts";
import type { ModelPlan } from "./load-model.ts";
import type { PooledText } from "./openai/embeddings.ts";
import { type CallOptions, checkLength, checkSignal } from "./request.ts";
import type { StepLoop } from "./step-loop.ts";
import type { TextModel } from "./text-model.ts";

export interface EmbedderParts {
  readonly loop: StepLoop;
  readonly plan: ModelPlan;
  readonly text: TextModel;
  readonly pooler: LazyPooler;
}

/** @throws {WeftError} `request_too_long`, `bad_request`, `aborted`, `device_lost`, `engine_closed`. */
export async function embed(
  { loop, plan, text, pooler }: EmbedderParts,
  texts: readonly PooledText[],
  { signal }: CallOptions = {},
): Promise<Float32Array[]> {
  checkSignal(signal);
  throwIfAborted(signal);
  for (const { promptIds, maxPromptTokens } of texts) {
    checkLength(promptIds.length, 1, plan.maxContext, maxPromptTokens);
  }
  await pooler.ready();
  throwIfAborted(signal);
  const sampling = text.resolveSampling({ temperature: 0, seed: 0 });
  const ids: SequenceId[] = [];
  let ignoreSignal = () => {};
  const aborted = new Promise<never>((_, reject) => {
    ignoreSignal = onAbort(signal, () => reject(abortError(signal?.reason)));
  });
  const one = ({ adapter, ...start }: PooledText) =>
    new Promise<Float32Array>((onPooled, reject) => {
      const number = adapterNumber(plan.adapters?.names ?? [], adapter);
      const none = { onToken: () => true, onFinish: () => {}, onError: reject };
      ids.push(loop.add({ ...start, maxTokens: 1, sampling, adapter: number, onPooled, ...none }));
    });
  try {
    return await Promise.race([aborted, Promise.all(texts.map(one))]);
  } catch (error) {
    for (const id of ids) loop.abort(id);
    throw WeftError.from(error);
  } finally {
    ignoreSignal();
  }
}
