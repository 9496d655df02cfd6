/**
 * `weft serve`: a model behind OpenAI's HTTP API. Listens before it loads, so that `/health` can tell the one
 * from the other; the first Ctrl-C or SIGTERM lets answers end, the second does not.
 */
import { statSync } from "node:fs";
import { type EngineApi, WeftError, withOverflow } from "../../node.ts";
import type { ServeOptions, Server } from "../../server.ts";
import { defineCommand, log, printJson, type Terminal } from "./command.ts";
import { modelOptions } from "./model-options.ts";
import { type OptionValues, UsageError } from "./option.ts";
import { bytes, flag, integer, number, text, texts } from "./option-types.ts";
import { overflowOf, overflowOptions, warnOfOverflow } from "./overflow-option.ts";
import { openServed, servedModels } from "./served-models.ts";
import { readTextFile } from "./text-file.ts";

const MANY = Number.MAX_SAFE_INTEGER;

const options = {
  ...modelOptions,
  model: texts("[NAME=]M", "as everywhere; NAME=M again for more, loaded as they are used"),
  port: integer(0, 65_535, "to listen at; 0 takes a free one; default 8000"),
  host: text("H", "the address to listen at; default 127.0.0.1, which this machine alone reaches"),
  apiKey: texts(
    "K",
    "who knows it may ask; again for more; others on this machine may see it here",
  ),
  apiKeyFile: text("F", "keys, one a line; WEFT_API_KEY is another"),
  allowHost: texts("NAME[:PORT]", "a name under which the server is asked besides its own"),
  allowOrigin: texts("ORIGIN", "whose pages may ask, e.g. https://example.org; * for all"),
  maxRows: integer(1, 1024, "answers that share each step; default 16"),
  maxConcurrent: integer(1, MANY, "answers under way, waiting ones too; more get 429; default 256"),
  maxBody: bytes("of a request; default 4 MiB"),
  maxPromptTokens: integer(1, MANY, "of a prompt; default what the context holds"),
  maxCompletionTokens: integer(1, MANY, "of an answer; default what the context holds"),
  timeout: number(0.001, 1e6, "seconds that an answer may take; default 600"),
  drain: number(0, 1e6, "seconds that answers may go on after the first Ctrl-C; default 30"),
  ...overflowOptions,
  json: flag("one JSON object on stdout, once it listens and the model is loaded"),
};

type ServeValues = OptionValues<typeof options>;

export const serve = defineCommand({
  name: "serve",
  summary: "a model behind OpenAI's HTTP API",
  options,
  run: async (values, terminal) => {
    const { model, maxRows, ...others } = values;
    const models = servedModels(model);
    const how = serveOptions(values, terminal);
    const overflow = overflowOf(values);
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const engine = begun.then(async () => {
      if (overflow) void warnOfOverflow(overflow, terminal);
      const local = await openServed(models, others, terminal, { maxRows });
      return overflow ? withOverflow(local, overflow) : local;
    });
    const server = await listen(engine, how);
    warn(server, how, terminal);
    begin();
    try {
      await tell(await engine, server, values, terminal);
      const cut = await closed(server, terminal);
      if (cut > 0) log(terminal, `weft serve: answers cut short: ${cut}`);
      return cut > 0 ? 1 : 0;
    } finally {
      await server.close();
      await (await engine.catch(() => undefined))?.close();
    }
  },
});

function serveOptions(values: ServeValues, terminal: Terminal): ServeOptions {
  const { timeout, drain } = values;
  for (const origin of values.allowOrigin ?? []) {
    if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)) continue;
    throw new UsageError(
      `--allow-origin is ${JSON.stringify(origin)}, it must be an origin such as ` +
        "https://example.org, without a path, or *; change the value",
    );
  }
  return {
    port: values.port,
    host: values.host,
    apiKeys: apiKeys(values, terminal),
    hosts: values.allowHost,
    origins: values.allowOrigin,
    maxBodyBytes: values.maxBody,
    maxConcurrent: values.maxConcurrent,
    maxPromptTokens: values.maxPromptTokens,
    maxCompletionTokens: values.maxCompletionTokens,
    requestTimeoutMs: timeout === undefined ? undefined : timeout * 1000,
    drainMs: drain === undefined ? undefined : drain * 1000,
    onFault: ({ requestId, route, error }) =>
      log(terminal, `weft serve: ${requestId} ${route}: ${error.message} (${error.code})`),
  };
}

/** Each once, whichever way it was given. */
function apiKeys({ apiKey = [], apiKeyFile }: ServeValues, terminal: Terminal): string[] {
  const { WEFT_API_KEY: variable } = process.env;
  const keys = new Set([...apiKey, ...(variable ? [variable] : [])]);
  if (apiKeyFile === undefined) return [...keys];
  let lines: string[];
  try {
    lines = readTextFile(apiKeyFile).split(/\r?\n/);
  } catch (error) {
    throw new UsageError(`--api-key-file: ${(error as WeftError).message}`);
  }
  // Windows keeps no such bits.
  if (process.platform !== "win32" && (statSync(apiKeyFile).mode & 0o077) !== 0) {
    log(terminal, `weft serve: WARNING: others may read ${apiKeyFile}; chmod 600 ${apiKeyFile}`);
  }
  for (const line of lines) {
    const key = line.trim();
    if (key !== "" && !key.startsWith("#")) keys.add(key);
  }
  return [...keys];
}

/** The packages that serving needs come with it, and not with every command. */
async function listen(engine: Promise<EngineApi>, how: ServeOptions): Promise<Server> {
  const door = await import("../../server.ts").catch((cause) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new WeftError(
      "file_not_found",
      `${message}; install what serving needs: npm install hono @hono/node-server`,
      { cause },
    );
  });
  return door.serve(engine, how);
}

function warn(
  server: Server,
  { apiKeys: keys = [], origins = [] }: ServeOptions,
  terminal: Terminal,
) {
  if (keys.length > 0) return;
  const { host, port } = server;
  if (!/^(localhost|127\.[\d.]+|::1)$/.test(host)) {
    log(
      terminal,
      `weft serve: WARNING: whoever reaches ${host}, port ${port}, may use the model; give --api-key`,
    );
  }
  if (origins.includes("*")) {
    log(terminal, "weft serve: WARNING: any page that is open here may ask; give --api-key");
  }
}

async function tell(engine: EngineApi, server: Server, values: ServeValues, terminal: Terminal) {
  const { url, host, port } = server;
  const models = (await engine.models.list()).data.map(({ id }) => id);
  const { adapter, kind: device } = engine.info.device;
  if (values.json) printJson(terminal, { url, host, port, models, adapter, device });
  else {
    terminal.stdout.write(`${url}\n`);
    log(terminal, `weft serve: ${models.join(", ")} · ${adapter} · Ctrl-C ends it`);
  }
}

/** @returns When somebody has ended it: how many answers were cut short. */
function closed(server: Server, terminal: Terminal): Promise<number> {
  return new Promise((resolve, reject) => {
    let times = 0;
    const stop = () => {
      times += 1;
      if (times > 2) process.exit(130);
      if (times === 1)
        log(
          terminal,
          "weft serve: no new requests; answers under way may end, once more ends them",
        );
      server.close().then(resolve, reject);
    };
    terminal.onInterrupt(stop);
    terminal.onTerminate(stop);
    terminal.signal.addEventListener("abort", stop);
  });
}
