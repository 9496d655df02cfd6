// A server on a port of this machine, over a tiny model on the reference device, and clients of it.

import OpenAI, { type ClientOptions } from "openai";
import { afterAll } from "vitest";
import { createEngine, type Engine, type EngineApi } from "../../node.ts";
import { type ServeOptions, type Server, serve } from "../../server.ts";
import { tinyModel } from "../cli/tiny-model.ts";

export interface Served<E extends EngineApi = Engine> {
  readonly engine: E;
  readonly server: Server;
}

/** Closed after the file's tests. @param given Default: a tiny model on the reference device. */
export async function served(options?: ServeOptions): Promise<Served>;
export async function served<E extends EngineApi>(
  options: ServeOptions,
  given: E,
): Promise<Served<E>>;
export async function served(options: ServeOptions = {}, given?: EngineApi) {
  const engine = given ?? (await tinyEngine());
  const server = await serve(engine, { port: 0, drainMs: 100, ...options });
  afterAll(() => server.close());
  return { engine, server };
}

/** Closed after the file's tests. */
export async function tinyEngine(): Promise<Engine> {
  const engine = await createEngine({ model: tinyModel(), device: "reference" });
  afterAll(() => engine.close());
  return engine;
}

export const client = (server: Server, options: ClientOptions = {}): OpenAI =>
  new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0, ...options });

/** Blocks that somebody has, of the engine's KV cache. */
export async function heldBlocks(engine: Engine): Promise<number> {
  const { groups } = await engine.kvMap();
  return groups.flatMap(({ holders }) => [...holders]).filter((count) => count > 0).length;
}

/** Nothing is under way any more, and nothing is held. @throws {Error} if that does not come about. */
export async function atRest(engine: Engine): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { now } = await engine.metrics();
    if (now.waiting + now.running + now.plansInFlight === 0 && (await heldBlocks(engine)) === 0)
      return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { now } = await engine.metrics();
  throw new Error(`${JSON.stringify(now)}, ${await heldBlocks(engine)} blocks held`);
}

export const MESSAGES = [{ role: "user" as const, content: "Hi" }];
