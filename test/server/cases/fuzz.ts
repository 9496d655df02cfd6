// Requests that nobody would write: odd values in right places, broken bytes, odd heads. Each gets an answer, and
// none of them is the server's fault.

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { createHandler, type ServerFault } from "../../../server.ts";
import { report } from "../../harness/soak.ts";
import { dial, spoken } from "../raw-http.ts";
import { atRest, MESSAGES, type Served, served } from "../served.ts";

/** So many at once: the engine batches them. */
const TOGETHER = 10;
/** What lacks an end is waited for. */
const MANY = 50;

/** By endpoint, a good request; every field that there is stands in one of them. */
const REQUESTS: Readonly<Record<string, object>> = {
  "chat/completions": {
    ...{ messages: MESSAGES, max_tokens: 2, n: 1, stream: false, temperature: 1, top_p: 0.9 },
    ...{ top_k: 3, min_p: 0.1, seed: 1, stop: ["x"], logit_bias: { 5: 1 }, logprobs: true },
    ...{ top_logprobs: 1, presence_penalty: 0.1, frequency_penalty: 0.1, user: "u" },
    ...{ repetition_penalty: 1.1, priority: "agent", deadline_ms: 5000, client: "c", program: "p" },
    ...{ session: "s", cache_salt: "c", chat_template_kwargs: { a: 1 }, max_prompt_tokens: 99 },
    ...{ tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] },
    ...{ tool_choice: "auto", response_format: { type: "text" }, model: undefined },
    ...{ reasoning_effort: "low", stream_options: null, max_completion_tokens: 2 },
    ...{ layer_policy: undefined, adapter: undefined, parallel_tool_calls: true },
  },
  completions: {
    ...{ prompt: ["Hi", "Ho"], max_tokens: 2, n: 1, echo: true, logprobs: 1, stream: false },
    ...{ stop: "x", seed: 1, suffix: null, best_of: 1, temperature: 0, stream_options: null },
  },
  embeddings: {
    ...{ input: ["Hi", [3, 4]], encoding_format: "float", dimensions: 8, user: "u" },
    ...{ pooling: "mean", normalize: true, priority: "background", cache_salt: "c" },
  },
};

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    ...[
      null,
      true,
      false,
      0,
      -1,
      1.5,
      1e308,
      -1e308,
      2 ** 53,
      "",
      " ",
      "\0",
      "\ud800",
      "__proto__",
    ],
    ...[[], {}, [[]], [{}], [null], { type: null }, "x".repeat(5000), [["x"], 1], { role: "user" }],
    ...[{ role: 1, content: {} }, [{ role: "user", content: [{ type: "text" }] }], { "-1": 1 }],
  ),
  fc.jsonValue({ maxDepth: 4 }),
);

const schemaWords = fc.constantFrom(
  ...["type", "properties", "items", "enum", "pattern", "minLength", "maximum", "$ref", "anyOf"],
  ...["not", "required", "additionalProperties", "const", "multipleOf", "minItems", "$defs"],
);
const schemaValues = fc.oneof(
  fc.constantFrom<unknown>(...["object", "string", "integer", "array", "null", "#", "(", "[a-"]),
  fc.jsonValue({ maxDepth: 2 }),
);
const oddSchema = fc.oneof(odd, fc.dictionary(schemaWords, schemaValues, { maxKeys: 4 }));
const oddText = fc.oneof(
  fc.string(),
  fc.constantFrom("(((", "a{1,99999999}", "(a|b)*", "root ::= x"),
);

/** Fields whose values are little languages. */
const oddForms = fc.oneof(
  oddSchema.map((schema) => [
    "response_format",
    { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
  ]),
  oddText.map((pattern) => ["response_format", { type: "regex", pattern }]),
  oddText.map((grammar) => ["response_format", { type: "grammar", grammar }]),
  fc.array(oddText).map((choices) => ["response_format", { type: "choice", choices }]),
  oddSchema.map((parameters) => [
    "tools",
    [{ type: "function", function: { name: "f", parameters, strict: true } }],
  ]),
  fc.constantFrom(["tool_choice", "required"], ["tool_choice", "none"]),
) as fc.Arbitrary<[string, unknown]>;

/** A good request with odd values in some of its fields. */
const oddBody = (endpoint: string) => {
  const base = REQUESTS[endpoint];
  return fc
    .array(fc.oneof(fc.tuple(fc.constantFrom(...Object.keys(base)), odd), oddForms), {
      minLength: 1,
      maxLength: 3,
    })
    .map((changes) => ({ endpoint, body: { ...base, ...Object.fromEntries(changes) } }));
};

/** Bytes of a good request, some of them changed, left out or doubled. */
const broken = fc
  .array(fc.tuple(fc.nat(9999), fc.nat(2), fc.nat(255)), {
    minLength: 1,
    maxLength: 2,
  })
  .map((changes) => (bytes: Uint8Array) => {
    const out = [...bytes];
    for (const [where, how, byte] of changes) {
      const at = Math.floor((where / 10_000) * out.length);
      if (how === 0) out[at] = byte;
      else if (how === 1) out.splice(at, 1 + (byte % 7));
      else out.splice(at, 0, byte, byte & 1 ? 0xff : byte);
    }
    return Uint8Array.from(out);
  });

/** Every event is JSON, and the last says how it ended. */
function checkEvents(text: string): void {
  const events = text.split("\n\n").slice(0, -1);
  for (const event of events.slice(0, -1)) JSON.parse(event.slice("data: ".length));
  expect(events.at(-1)).toMatch(/^data: (\[DONE\]|\{"error":.*\})$/);
}

/** @param runs Of each kind. */
export function fuzzed(runs: number): void {
  let main: Served;
  const faults: ServerFault[] = [];
  beforeAll(async () => {
    main = await served({
      ...{ maxCompletionTokens: 4, headersTimeoutMs: 150, bodyTimeoutMs: 150 },
      onFault: (fault) => faults.push(fault),
    });
  });

  test(`odd values, ${runs} times`, async () => {
    const handle = createHandler(main.engine, {
      maxCompletionTokens: 4,
      onFault: (fault) => faults.push(fault),
    });
    const statuses: Record<number, number> = {};
    const batch = fc.array(fc.oneof(...Object.keys(REQUESTS).map(oddBody)), {
      minLength: TOGETHER,
      maxLength: TOGETHER,
    });
    const numRuns = Math.ceil(runs / TOGETHER);
    await fc.assert(
      fc.asyncProperty(batch, async (requests) => {
        const answered = requests.map(async ({ endpoint, body }) => {
          const request = new Request(`http://localhost/v1/${endpoint}`, {
            ...{ method: "POST", headers: { "content-type": "application/json" } },
            body: JSON.stringify(body),
          });
          const response = await handle(request);
          const text = await response.text();
          statuses[response.status] = (statuses[response.status] ?? 0) + 1;
          expect([200, 400, 404], `${text} of ${JSON.stringify(body)}`).toContain(response.status);
          if (response.headers.get("content-type")?.startsWith("text/event-stream"))
            checkEvents(text);
          else if (response.status !== 200) expect(JSON.parse(text).error.message).toMatch(/./);
        });
        await Promise.all(answered);
        expect(faults).toEqual([]);
      }),
      { numRuns },
    );
    await atRest(main.engine);
    report("server-fuzz", { requests: numRuns * TOGETHER, statuses });
    expect(statuses[200]).toBeGreaterThan(0);
    expect(statuses[400]).toBeGreaterThan(0);
  });

  test(`broken bytes, ${runs} times`, async () => {
    const { server, engine } = main;
    const body = JSON.stringify({ messages: MESSAGES, max_tokens: 1, stream: true });
    const head = [
      ...["POST /v1/chat/completions HTTP/1.1", `host: 127.0.0.1:${server.port}`],
      "content-type: application/json",
    ];
    const bytes = (withLength: boolean) =>
      new TextEncoder().encode(
        withLength
          ? `${head.join("\r\n")}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`
          : `${head.join("\r\n")}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n` +
              `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      );
    const statuses: Record<string, number> = {};
    const batch = fc.array(fc.tuple(fc.boolean(), broken), {
      minLength: MANY,
      maxLength: MANY,
    });
    await fc.assert(
      fc.asyncProperty(batch, async (requests) => {
        const answered = requests.map(async ([withLength, breakIt]) => {
          const socket = await dial(server);
          const answer = spoken(socket);
          // A connection that is to be kept is not, once it has answered.
          socket.once("data", () => setTimeout(() => socket.destroy(), 200));
          socket.write(breakIt(bytes(withLength)));
          const text = await answer;
          const status = /^HTTP\/1\.1 (\d+) /.exec(text)?.[1] ?? "none";
          statuses[status] = (statuses[status] ?? 0) + 1;
          expect(text).not.toContain("still open");
          expect(status).toMatch(/^([24]\d\d|none)$/);
        });
        await Promise.all(answered);
      }),
      { numRuns: Math.ceil(runs / MANY) },
    );
    await atRest(engine);
    report("server-fuzz", { requests: Math.ceil(runs / MANY) * MANY, statuses });
    expect(faults).toEqual([]);
    expect(statuses["400"]).toBeGreaterThan(0);
    expect(statuses["200"]).toBeGreaterThan(0);
  });
}
