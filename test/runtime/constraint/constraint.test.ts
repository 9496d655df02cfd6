// Constrained texts by a model that says anything it may: what it says always fits, and ends in time.

import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, expect, test } from "vitest";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import {
  ConstraintCompiler,
  type ConstraintTokenizer,
} from "../../../runtime/constraint/constraint-compiler.ts";
import { inThreadPort } from "../../../runtime/constraint/in-thread-port.ts";
import { report, scale } from "../../harness/soak.ts";
import { madeSchema, recursiveSchema } from "./schemas.ts";
import { shortestText, shortestTokens } from "./shortest.ts";
import { demoTokenizer, randoms } from "./vocabularies.ts";

const tokenizer = demoTokenizer();
/** Models have more rows than their tokenizers tokens. */
const vocabSize = tokenizer.vocabSize + 37;
const compiler = new ConstraintCompiler({ tokenizer, vocabSize, dial: inThreadPort });
afterAll(() => compiler.close());

const isSet = (mask: Uint32Array | undefined, id: number) =>
  mask === undefined || ((mask[id >> 5] >>> (id & 31)) & 1) === 1;

const allowed = (mask: Uint32Array | undefined, size: number) =>
  Array.from({ length: size }, (_, id) => id).filter((id) => isSet(mask, id));

interface Walked {
  readonly text: string;
  readonly ids: readonly number[];
  readonly isWhole: boolean;
  readonly masksMs: readonly number[];
}

/** Any token that may come next, an end as likely as another, until an end or the limit. */
async function walk(
  of: ConstraintCompiler,
  spec: ConstraintSpec,
  limit: number,
  random: () => number,
  source: ConstraintTokenizer & { vocabSize: number } = tokenizer,
): Promise<Walked> {
  const constraint = await of.compile(spec);
  const ids: number[] = [];
  const masksMs: number[] = [];
  let isWhole = false;
  let told: number[] = [];
  for (let remaining = limit; ; ) {
    const start = performance.now();
    const answer = await constraint.advance(told, remaining);
    masksMs.push(performance.now() - start);
    const [mask] = answer.masks;
    const may = allowed(mask, mask!.length * 32);
    if (may.length === 0) expect.fail(`nothing may follow ${tokenizer.decode(ids)}`);
    told =
      random() < 0.5 && answer.forced.length > 0
        ? [...answer.forced]
        : [may[Math.floor(random() * may.length)]];
    if (source.eosTokenIds.includes(told[0])) isWhole = true;
    if (isWhole || remaining < told.length) break;
    ids.push(...told);
    remaining -= told.length;
  }
  constraint.close();
  return { text: new TextDecoder().decode(bytes(source, ids)), ids, isWhole, masksMs };
}

const bytes = (source: ConstraintTokenizer, ids: readonly number[]) =>
  Uint8Array.from(ids.flatMap((id) => [...source.idToBytes(id)!]));

/** @returns a check that a text is JSON of the schema. */
function validator(schema: object): (text: string) => void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  const validate = ajv.compile(schema);
  return (text) => {
    if (validate(JSON.parse(text))) return;
    expect.fail(`${text}\n${JSON.stringify(schema)}\n${ajv.errorsText(validate.errors)}`);
  };
}

const numSchemas = scale("constraint", 20, 300);

test(`texts of ${numSchemas} schemas fit them, and are whole by the limit`, async () => {
  let numTokens = 0;
  const masksMs: number[] = [];
  for (let i = 0; i < numSchemas; i++) {
    const random = randoms(i);
    const schema = i === 0 ? recursiveSchema : madeSchema(random, Math.min(5, i % 7));
    const spec = { type: "json_schema", schema } as const;
    const fits = validator(schema);
    fits(shortestText(schema, random));
    const shortest = shortestTokens(tokenizer, schema, random);
    for (const limit of [shortest, shortest + 1 + (i % 9), 2 * shortest + 20]) {
      const { text, ids, isWhole, masksMs: ms } = await walk(compiler, spec, limit, random);
      expect(isWhole, `${text} after ${limit} of ${shortest}: ${JSON.stringify(schema)}`).toBe(
        true,
      );
      expect(ids.length).toBeLessThanOrEqual(limit);
      fits(text);
      numTokens += ids.length;
      masksMs.push(...ms);
    }
  }
  masksMs.sort((a, b) => a - b);
  const at = (share: number) =>
    Number(masksMs[Math.floor(share * (masksMs.length - 1))].toFixed(3));
  report("constraint", {
    numSchemas,
    numTokens,
    maskMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
  });
});
