/**
 * OpenAI's endpoints over an engine, as a function from Request to Response: for Node's server, a service
 * worker or a test alike. Owns the order of checks: name and origin, key, body, room, engine.
 */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { CallOptions, EngineApi } from "../../worker.ts";
import { ApiError } from "./api-error.ts";
import { type Caller, callerFields } from "./caller.ts";
import { writeEngineMetrics } from "./engine-exposition.ts";
import { eventStream } from "./event-stream.ts";
import { EXPOSITION_TYPE, Exposition } from "./exposition.ts";
import { type JsonObject, jsonBody } from "./json-body.ts";
import { writeOverflowMetrics } from "./overflow-exposition.ts";
import { answersOf, limitFields, type RequestKind } from "./request-limits.ts";
import type { Service } from "./service.ts";

/** Who brings a request, as far as the platform tells. */
export interface Peer {
  /** Of the other end. */
  readonly address?: string;
  /** Ends its connection. */
  disconnect?(): void;
}

interface Env {
  Bindings: Peer;
  Variables: {
    requestId: string;
    startMs: number;
    key: number | undefined;
    body: JsonObject | undefined;
    /** The answer goes on after its head. */
    isStream: boolean;
  };
}

type Asked = Context<Env>;
/** Values are the engine's to check: a request is whatever its caller sent. */
type Endpoint = (
  engine: EngineApi,
  request: never,
  options: CallOptions,
) => Promise<object | AsyncIterable<object>>;

const METHODS: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "POST",
  "/v1/completions": "POST",
  "/v1/embeddings": "POST",
  "/v1/models": "GET",
  "/v1/models/{id}": "GET",
  "/health": "GET",
  "/metrics": "GET",
};

export function routes(service: Service): (request: Request, peer?: Peer) => Promise<Response> {
  const { doorkeeper, counters, settings } = service;
  const app = new Hono<Env>();

  app.use(async (c, next) => {
    c.set("requestId", `req_${crypto.randomUUID().replaceAll("-", "")}`);
    c.set("startMs", performance.now());
    await next();
    c.header("x-request-id", c.get("requestId"));
    c.header("x-content-type-options", "nosniff");
    const route = routeOf(c);
    counters.request(route, c.res.status);
    if (!c.get("isStream")) counters.done(route, secondsSince(c.get("startMs")));
  });
  app.use(async (c, next) => {
    doorkeeper.check(c.req.raw);
    await next();
    const { headers } = c.req.raw;
    // Chrome asks before a public page reaches an address of a private network.
    if (headers.has("access-control-request-private-network") && c.req.method === "OPTIONS") {
      c.header("access-control-allow-private-network", "true");
    }
  });
  app.use(
    cors({
      origin: (origin) => (doorkeeper.allows(origin) ? origin : null),
      allowMethods: ["GET", "POST"],
      exposeHeaders: ["x-request-id", "retry-after"],
      maxAge: 600,
    }),
  );
  for (const path of ["/v1/*", "/metrics"]) {
    app.use(path, async (c, next) => {
      c.set("key", await service.keys.check(c.req.raw.headers.get("authorization")));
      await next();
    });
  }

  app.post("/v1/chat/completions", (c) =>
    answer(c, "chat", (engine, request, options) =>
      engine.chat.completions.create(request, options),
    ),
  );
  app.post("/v1/completions", (c) =>
    answer(c, "text", (engine, request, options) => engine.completions.create(request, options)),
  );
  app.post("/v1/embeddings", (c) =>
    answer(c, "embeddings", (engine, request, options) =>
      engine.embeddings.create(request, options),
    ),
  );
  app.get("/v1/models", async (c) => c.json(await service.engine.models.list()));
  app.get("/v1/models/:id{.+}", async (c) =>
    c.json(await service.engine.models.retrieve(c.req.param("id"))),
  );
  app.get("/health", async (c) => {
    if (service.state === "ready") await withLimit(service.figures?.read());
    const status = service.state === "ready" ? "ok" : service.state;
    return c.json({ status }, status === "ok" ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    const text = new Exposition();
    counters.write(text);
    text.family("gauge", "weft_http_answers", "Answers under way, those that wait included.", [
      [{}, service.gate.inFlight],
    ]);
    const { figures } = service;
    // The server's own are told though the engine is silent.
    const metrics = await withLimit(figures?.read()).catch(() => undefined);
    if (figures && metrics) writeEngineMetrics(text, metrics, figures.model);
    if (metrics?.overflow) writeOverflowMetrics(text, metrics.overflow);
    return c.body(text.text, 200, { "content-type": EXPOSITION_TYPE });
  });
  app.notFound((c) => {
    throw unknown(c);
  });
  app.onError((error, c) => {
    const about = { requestId: c.get("requestId"), route: routeOf(c), body: c.get("body") };
    return service.toldOf(error, about).response;
  });
  return async (request, peer = {}) => app.fetch(request, peer);

  async function answer(c: Asked, kind: RequestKind, endpoint: Endpoint): Promise<Response> {
    const { engine } = service;
    const body = await jsonBody(c.req.raw, settings);
    c.set("body", body);
    const caller: Caller = {
      key: c.get("key"),
      numKeys: service.keys.count,
      address: c.env.address ?? "local",
    };
    const request = {
      ...body,
      ...limitFields(body, kind, settings),
      ...callerFields(body, caller),
    };
    const lifetime = service.begin(caller, answersOf(body), c.req.raw.signal);
    try {
      const made = await endpoint(engine, request as never, { signal: lifetime.signal });
      if (Symbol.asyncIterator in made) return stream(c, made, lifetime);
      return c.json(made);
    } catch (error) {
      throw lifetime.signal.aborted ? lifetime.signal.reason : error;
    } finally {
      if (!c.get("isStream")) lifetime.end();
    }
  }

  function stream(
    c: Asked,
    chunks: AsyncIterable<object>,
    lifetime: ReturnType<Service["begin"]>,
  ): Response {
    c.set("isStream", true);
    const [route, startMs] = [routeOf(c), c.get("startMs")];
    lifetime.atEnd(() => counters.done(route, secondsSince(startMs)));
    const about = { requestId: c.get("requestId"), route, body: c.get("body") };
    const events = eventStream(chunks, {
      lifetime,
      stallTimeoutMs: settings.stallTimeoutMs,
      disconnect: () => c.env.disconnect?.(),
      onChunk: counters.chunks(startMs),
      toApiError: (error) => service.toldOf(error, about),
    });
    return c.body(events, 200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      // Proxies that gather what they pass on would hold tokens back.
      "x-accel-buffering": "no",
    });
  }
}

const routeOf = (c: Asked): string => {
  const path = c.req.path.startsWith("/v1/models/") ? "/v1/models/{id}" : c.req.path;
  return METHODS[path] === c.req.method ? `${c.req.method} ${path}` : "other";
};

function unknown(c: Asked): ApiError {
  const allowed = METHODS[c.req.path];
  if (allowed === undefined) {
    return new ApiError(
      404,
      `there is no such address; there are ${Object.keys(METHODS).join(", ")}`,
      {
        code: "unknown_url",
      },
    );
  }
  return new ApiError(405, `the method is not ${allowed}; ask with ${allowed}`, {
    code: "method_not_allowed",
    headers: { allow: allowed },
  });
}

const secondsSince = (ms: number): number => (performance.now() - ms) / 1000;

/** An engine whose thread hangs must not hang the question whether it does. */
function withLimit<T>(reading: Promise<T> | undefined): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ApiError(503, "the engine does not answer", { code: "not_responding" })),
      5000,
    );
  });
  return Promise.race([reading, late]).finally(() => clearTimeout(timer));
}
