// Drafts beside a grammar: what they guess the grammar judges before it is verified, so answers are those of
// one token after another, by fewer steps of the model.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConstraintSpec } from "../../runtime/constraint/constraint.ts";
import type { LayerPolicy } from "../../runtime/layer-policy.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { report, scale } from "../harness/soak.ts";
import { madeSchema } from "../runtime/constraint/schemas.ts";
import { randoms } from "../runtime/constraint/vocabularies.ts";
import { ask, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { opener, type Subject } from "./subject.ts";

/** Drafts that are mostly right, that are mostly wrong, and from what was said. */
const POLICIES: Readonly<Record<string, LayerPolicy>> = {
  near: { name: "self-speculation", draft: { skipMlp: [4], skip: [6] }, always: true },
  far: { name: "self-speculation", always: true, maxDraftTokens: 3 },
  lookup: { name: "prompt-lookup", always: true },
};
const numMade = scale("constrained-drafts", 2, 100);

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 40 },
    friends: { type: "array", items: { type: "string", maxLength: 20 }, maxItems: 4 },
  },
  required: ["name", "friends"],
  additionalProperties: false,
};
const SPECS: readonly (readonly [prompt: string, ConstraintSpec])[] = [
  ["Write JSON with the keys name and age. name is Anna, age is 31", { type: "json_object" }],
  ["Write JSON. name is Anna Anna Anna", { type: "json_schema", schema: person }],
  ["Tell me a story about a fox.", { type: "regex", pattern: "([A-Z][a-z ,]{5,60}\\. ?){2}" }],
  ["Sort these words: wolf, apple, stone", { type: "regex", pattern: "[a-z]+(, [a-z]+){2}" }],
];

const open = opener({ platform: nodePlatform, folder: demoFolder(), device: "reference" });
let main: Subject;
let takesBack: Subject;
let requests: GenerateRequest[];
let plain: Awaited<ReturnType<typeof answers>>;
beforeAll(async () => {
  main = await open({});
  takesBack = await open({ forcePreemptionEvery: 5, maxRows: 3 });
  const { template, tokenizer } = main.engine.text;
  const prompted = (content: string) =>
    tokenizer.encode(template.render({ messages: [{ role: "user", content }] }), {
      addSpecialTokens: false,
    });
  const made = Array.from({ length: numMade }, (_, i) => {
    const schema = madeSchema(randoms(i), 3) as object;
    return ["Write JSON.", { type: "json_schema", schema }] as const;
  });
  requests = [...SPECS, ...made].flatMap(([prompt, constraint], i) =>
    [0, 1].map((temperature) => {
      return { prompt: prompted(prompt), constraint, maxTokens: 24, temperature, seed: i };
    }),
  );
  plain = await answers(main);
});
afterAll(async () => {
  await main.engine.close();
  await takesBack.engine.close();
});

const answers = ({ door }: Subject, policy?: LayerPolicy, asked = requests) =>
  Promise.all(
    asked.map(async (request) => {
      const { ids, finishReason } = await ask(door, { ...request, layerPolicy: policy });
      return { ids, finishReason };
    }),
  );

test.each(Object.entries(POLICIES))(
  "%s: what is said without",
  async (name, policy) => {
    const before = (await main.engine.metrics()).total;
    expect(await answers(main, policy)).toEqual(plain);
    const { draftRounds, draftedTokens, acceptedTokens } = (await main.engine.metrics()).total;
    const rounds = draftRounds - before.draftRounds;
    const drafted = draftedTokens - before.draftedTokens;
    const accepted = acceptedTokens - before.acceptedTokens;
    const tokens = plain.reduce((sum, { ids }) => sum + ids.length, 0);
    report("constrained-drafts", {
      name,
      requests: plain.length,
      tokens,
      rounds,
      drafted,
      accepted,
    });
    expect(accepted).toBeGreaterThan(0);
    expect(drafted).toBeGreaterThanOrEqual(accepted);
    await settled(main);
  },
  600_000,
);

test("taken back while the host looks at drafts, too", async () => {
  const short: LayerPolicy = { ...POLICIES.near, maxDraftTokens: 2 } as LayerPolicy;
  const some = requests.slice(0, scale("constrained-drafts", 6, requests.length));
  expect(await answers(takesBack, short, some)).toEqual(plain.slice(0, some.length));
  const { preemptions, acceptedTokens } = (await takesBack.engine.metrics()).total;
  expect(preemptions).toBeGreaterThan(some.length / 4);
  expect(acceptedTokens).toBeGreaterThan(0);
  await settled(takesBack);
}, 600_000);

test("behind thoughts with a budget, which are drafted as well", async () => {
  const messages = [{ role: "user", content: "What is 47 + 38?" }];
  const schema = { type: "object", properties: { sum: { type: "integer" } }, required: ["sum"] };
  const asked = {
    ...{ messages, thinking_budget: 12, max_tokens: 60, seed: 1 },
    response_format: { type: "json_schema", json_schema: { name: "sum", schema } },
  } as const;
  const { choices } = await main.door.chat.completions.create(asked);
  expect(JSON.parse(choices[0].message.content!)).toEqual({ sum: expect.any(Number) });
  for (const layer_policy of Object.values(POLICIES)) {
    const drafted = await main.door.chat.completions.create({ ...asked, layer_policy });
    expect(drafted.choices).toEqual(choices);
  }
});
