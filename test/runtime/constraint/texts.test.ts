// Which texts constraints admit, and which requests are refused, by name.

import { expect, test } from "vitest";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import { accepts } from "./accepts.ts";

const json = (schema: object | boolean): ConstraintSpec => ({ type: "json_schema", schema });

/** Constraint, texts of it, texts that are none. */
const TEXTS: readonly (readonly [string, ConstraintSpec, readonly string[], readonly string[]])[] =
  [
    [
      "json_object",
      { type: "json_object" },
      ["{}", '{"a": [1, -2.5e3, true, null, "é\\n\\ud83d\\ude00"]}', '{\n  "a": {},\n  "b": []\n}'],
      [
        "[]",
        "{",
        '{"a":1,}',
        '{"a":01}',
        '{"a":"\\ud83d"}',
        '{"a":"\n"}',
        "{}{}",
        " {}",
        '{"a" :1}',
      ],
    ],
    [
      "regex",
      { type: "regex", pattern: "(a|b)+\\.x{2,3}?[^0-9\\s]é?" },
      ["a.xx!", "abba.xxxÄé"],
      ["a.x!", "a.xx1", ".xx!", "a.xx!éé"],
    ],
    ["anchors", { type: "regex", pattern: "^\\d+$|^x$" }, ["12", "x"], ["", "1x"]],
    [
      "choice",
      { type: "choice", choices: ["yes", "yes, sir", "ß", "yes"] },
      ["yes", "yes, sir", "ß"],
      ["", "yes,"],
    ],
    [
      "ebnf",
      {
        type: "grammar",
        grammar: `# sums
root ::= expr
expr ::= term (("+" | "-") term)* # any number
term ::= number | "(" expr ")"
number ::= [0-9]{1,3} ("." [0-9]+)? | "\\u03c0"
`,
      },
      ["1", "(12-3.5)+π", "((999))"],
      ["", "1+", "1234", "(1"],
    ],
    [
      "properties",
      json({
        type: "object",
        properties: { a: { type: "integer" }, b: { type: "string" } },
        required: ["b"],
      }),
      ['{"a":1,"b":""}', '{"b":"x"}'],
      ['{"a":1}', '{"b":"","a":1}', '{"b":"","c":1}', "{}"],
    ],
    [
      "others",
      json({ properties: { ab: { type: "integer" } }, additionalProperties: { type: "string" } }),
      ["{}", '{"ab":1,"a":"","abc":"","b":""}', '{"x":""}'],
      ['{"ab":""}', '{"x":1}', '{"x":"","ab":""}'],
    ],
    ["only required", json({ type: "object", required: ["z"] }), ['{"z":[]}', '{"z":1}'], ["{}"]],
    [
      "lengths",
      json({ type: "string", minLength: 1, maxLength: 2 }),
      ['"a"', '"é中"', '"😀😀"', '"\\ud83d\\ude00\\n"'],
      ['""', '"abc"', '"\\ud83d"'],
    ],
    ["pattern", json({ type: "string", pattern: "b+" }), ['"abc"', '"\\nb"'], ['"a"', '""']],
    [
      "pattern in quotes",
      json({ type: "string", pattern: '^["\\\\]\\x01$' }),
      ['"\\"\\u0001"', '"\\\\\\u0001"'],
      ['""\\u0001"', '"\\"\u0001"'],
    ],
    [
      "dates",
      json({ type: "string", format: "date" }),
      ['"2024-02-28"', '"2024-12-31"'],
      ['"2024-02-30"', '"2024-13-01"', '"24-01-01"'],
    ],
    [
      "ipv6",
      json({ type: "string", format: "ipv6" }),
      ['"::1"', '"fe80::1:2"', '"1:2:3:4:5:6:7:8"'],
      ['":"', '"1:2"', '"1::2::3"'],
    ],
    [
      "integers",
      json({ type: "integer", minimum: -12, maximum: 123 }),
      ["-12", "0", "99", "123"],
      ["-13", "124", "1.0", "00", "-", "1e1"],
    ],
    [
      "numbers",
      json({ type: "number", exclusiveMinimum: -0.5, maximum: 1.25 }),
      ["0", "-0.49", "1.25", "1.2500", "0.999999", "1"],
      ["-0.5", "-0.50", "1.26", "1.2501", "-1", "2", "1."],
    ],
    [
      "small numbers",
      json({ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 0.001 }),
      ["0.0001", "0.000999"],
      ["0", "0.0", "0.001", "0.0010"],
    ],
    ["types", json({ type: ["integer", "null"] }), ["null", "-7"], ['""', "1.5"]],
    [
      "constants",
      json({ enum: ["a", { b: [1] }, null], type: ["string", "object"] }),
      ['"a"', '{"b":[1]}', '{ "b": [ 1 ] }'],
      ["null", '"b"'],
    ],
    [
      "tuples",
      json({ prefixItems: [{ type: "integer" }, { type: "string" }], minItems: 1 }),
      ["[1]", '[1, "a"]'],
      ["[]", '["a"]', '[1, "a", 2]'],
    ],
    [
      "tuples with others",
      json({ items: [{ type: "integer" }], additionalItems: { type: "null" }, maxItems: 3 }),
      ["[]", "[1]", "[1,null,null]"],
      ["[null]", "[1,2]", "[1,null,null,null]"],
    ],
    [
      "counts",
      json({ type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 3 }),
      ["[true,false]", "[true, true, true]"],
      ["[true]", "[]", "[true,true,true,true]"],
    ],
    ["no items", json({ type: "array", items: false }), ["[]"], ["[1]"]],
    [
      "maps",
      json({
        type: "object",
        propertyNames: { pattern: "^k" },
        additionalProperties: { type: "integer" },
        minProperties: 1,
        maxProperties: 2,
      }),
      ['{"k":1}', '{"ka":1, "kb":2}'],
      ["{}", '{"a":1}', '{"k":1,"k2":2,"k3":3}'],
    ],
    [
      "references",
      json({
        $ref: "#/$defs/n",
        $defs: {
          n: {
            type: "object",
            properties: { next: { anyOf: [{ $ref: "#/$defs/n" }, { type: "null" }] } },
            required: ["next"],
          },
        },
      }),
      ['{"next":null}', '{"next":{"next":null}}'],
      ["{}", '{"next":{}}'],
    ],
    [
      "allOf",
      json({
        allOf: [{ $ref: "#/$defs/a" }, { properties: { y: { type: "null" } }, required: ["y"] }],
        $defs: { a: { type: "object", properties: { x: { type: "integer" } }, required: ["x"] } },
      }),
      ['{"x":1,"y":null}'],
      ['{"x":1}', '{"y":null}'],
    ],
    [
      "anyOf beside others",
      json({
        type: "object",
        properties: { a: { type: "integer" }, b: { type: "integer" } },
        anyOf: [{ required: ["a"] }, { required: ["b"] }],
      }),
      ['{"a":1}', '{"b":1}', '{"a":1,"b":2}'],
      ["{}"],
    ],
    ["oneOf", json({ oneOf: [{ type: "string" }, { type: "integer" }] }), ['"a"', "1"], ["true"]],
    ["anything", json({}), ["null", "[{}]", '"x"', "-1.5e10"], ["", "nul"]],
    [
      "unknown keywords",
      json({ type: "null", "x-order": 3, title: "t", description: "d", default: 1, examples: [] }),
      ["null"],
      ["1"],
    ],
    [
      "what never ends is left out",
      json({
        type: "object",
        properties: { a: { $ref: "#/$defs/a" }, b: { type: "null" } },
        $defs: { a: { type: "object", properties: { a: { $ref: "#/$defs/a" } }, required: ["a"] } },
      }),
      ["{}", '{"b":null}'],
      ['{"a":{}}'],
    ],
  ];

test.each(TEXTS)("%s", (_name, spec, texts, others) => {
  const isText = accepts(spec);
  expect(texts.filter((text) => !isText(text))).toEqual([]);
  expect(others.filter(isText)).toEqual([]);
});

const inside = (schema: object) => ({ type: "object", properties: { a: schema } });

/** Schema, the keyword that the refusal names. */
const REFUSED: readonly (readonly [object, string])[] = [
  [{ not: { type: "null" } }, "not"],
  [{ if: {}, else: {} }, "if"],
  [{ type: "array", uniqueItems: true }, "uniqueItems"],
  [{ type: "number", multipleOf: 2 }, "multipleOf"],
  [{ type: "array", contains: {} }, "contains"],
  [{ type: "object", patternProperties: { a: {} } }, "patternProperties"],
  [{ type: "object", dependentSchemas: {} }, "dependentSchemas"],
  [{ type: "object", dependentRequired: {} }, "dependentRequired"],
  [{ type: "object", dependencies: {} }, "dependencies"],
  [{ type: "object", unevaluatedProperties: false }, "unevaluatedProperties"],
  [{ type: "array", unevaluatedItems: false }, "unevaluatedItems"],
  [{ type: "string", nullable: true }, "nullable"],
  [{ $ref: "#/$defs/nowhere" }, "$ref"],
  [{ $ref: "https://example.org/schema.json" }, "$ref"],
  [{ $ref: "#name" }, "$ref"],
  [{ $dynamicRef: "#a" }, "$dynamicRef"],
  [{ $id: "https://example.org/a", type: "null" }, "$id"],
  [{ type: "string", format: "regex" }, "format"],
  [{ type: "string", pattern: "^(?=a)" }, "pattern"],
  [{ type: "string", pattern: "(a)\\1" }, "pattern"],
  [{ type: "string", pattern: "\\ba" }, "pattern"],
  [{ type: "string", pattern: "\\p{L}" }, "pattern"],
  [{ type: "string", pattern: "(" }, "pattern"],
  [{ type: "string", pattern: "a", minLength: 2 }, "minLength"],
  [{ type: "string", minLength: -1 }, "minLength"],
  [{ type: "string", maxLength: 1e9 }, "maxLength"],
  [{ type: "array", minItems: 1.5 }, "minItems"],
  [{ type: "object", minProperties: 2 }, "minProperties"],
  [{ type: "object", properties: { x: {}, y: {} }, maxProperties: 1 }, "maxProperties"],
  [{ type: "number", minimum: "1" }, "minimum"],
  [{ type: "number", maximum: 0.12345678 }, "maximum"],
  [{ type: "integer", exclusiveMinimum: true }, "exclusiveMinimum"],
  [{ type: "text" }, "type"],
  [{ enum: [] }, "enum"],
  [{ enum: ["a"], minLength: 1 }, "minLength"],
  [{ anyOf: [] }, "anyOf"],
  [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "oneOf"],
  [{ oneOf: [{ type: "object" }, { type: "object" }] }, "oneOf"],
  [{ allOf: [{ type: "string", minLength: 1 }, { minLength: 2 }] }, "minLength"],
  [{ allOf: [{ type: "string" }, { type: "integer" }] }, "type"],
  [{ required: "a" }, "required"],
  [{ properties: [] }, "properties"],
];

test.each(REFUSED)("%j is refused by name", (schema, keyword) => {
  const refusal = problem(json(inside(schema)));
  expect(refusal).toMatchObject({ code: "bad_request" });
  expect(refusal?.message).toContain(JSON.stringify(keyword));
  expect(refusal?.message).toMatch(/#\/properties\/a|nowhere|#name|schema\.json/);
});

/** Each level has the next one twice. */
function doubled(levels: number): object {
  const both = (of: string) => ({
    ...{ type: "object", properties: { x: { $ref: of }, y: { $ref: of } } },
    ...{ required: ["x", "y"], additionalProperties: false },
  });
  const names = Array.from({ length: levels }, (_, i) => `l${i}`);
  const $defs = Object.fromEntries(names.map((name, i) => [name, both(`#/$defs/l${i + 1}`)]));
  return { $ref: "#/$defs/l0", $defs: { ...$defs, [`l${levels}`]: { type: "null" } } };
}

test.each<[string, ConstraintSpec, RegExp]>([
  ["nothing fits", json(false), /no finite text/],
  ["goes on for ever", json({ $ref: "#" }), /no finite text|leads back/],
  ["doubles thirty times", json(doubled(30)), /its shortest text has \d{11} bytes, above 1000000/],
  [
    "not there",
    { type: "grammar", grammar: 'root ::= "a" b\n' },
    /rule b is not there, at line 1, column 14/,
  ],
  ["no root", { type: "grammar", grammar: 'a ::= "a"\n' }, /no rule root/],
  ["syntax", { type: "grammar", grammar: 'root := "a"' }, /line 1, column 6/],
  ["open text", { type: "grammar", grammar: 'root ::= [a-z]\n  "a' }, /line 2, column 5/],
  [
    "left recursion",
    { type: "grammar", grammar: 'root ::= root "a" | "a"' },
    /rule root begins with itself/,
  ],
  [
    "hidden left recursion",
    { type: "grammar", grammar: 'root ::= b? root "a" | "a"\nb ::= "b"' },
    /begins with itself/,
  ],
  ["lookahead", { type: "regex", pattern: "(?!a)b" }, /\(\?!a/],
  [
    "too large",
    { type: "regex", pattern: "((((a{1000}){1000}){1000})" },
    /group|closed|places|repetitions/,
  ],
  [
    "much too large",
    { type: "regex", pattern: "(?:(?:a{1000}){1000}){1000}" },
    /places|repetitions/,
  ],
  ["no choices", { type: "choice", choices: [] }, /choices/],
  ["no such type", { type: "xml" } as never, /xml/],
])("a constraint that cannot be: %s", (_name, spec, message) => {
  const refusal = problem(spec);
  expect(refusal).toMatchObject({ code: "bad_request" });
  expect(refusal?.message).toMatch(message);
});

function problem(spec: ConstraintSpec): Error | undefined {
  try {
    accepts(spec);
  } catch (error) {
    return error as Error;
  }
  return undefined;
}

test("schemas that would be too much are refused, soon", () => {
  const start = performance.now();
  const levels = Array.from({ length: 30 }, (_, i) => [
    `l${i}`,
    { anyOf: [0, 1].map(() => ({ $ref: `#/$defs/l${i + 1}`, minLength: 0 })) },
  ]);
  const exploding = {
    $ref: "#/$defs/l0",
    $defs: { ...Object.fromEntries(levels), l30: { type: "string" } },
  };
  const names = Array.from({ length: 7_000 }, (_, i) => `p${i}`);
  const wide = { type: "object", properties: Object.fromEntries(names.map((name) => [name, {}])) };
  let deep: object = { type: "null" };
  for (let i = 0; i < 200; i++) deep = { type: "array", items: deep };
  const long = { enum: Array.from({ length: 25_000 }, (_, i) => `value ${i}`) };
  for (const schema of [exploding, wide, deep, long]) {
    expect(problem(json(schema))).toMatchObject({ code: "bad_request" });
  }
  expect(performance.now() - start).toBeLessThan(20_000);
  const many = Object.fromEntries(names.slice(0, 1_000).map((name) => [name, { type: "null" }]));
  expect(
    accepts(json({ type: "object", properties: many, required: ["p999"] }))(
      '{"p3":null,"p999":null}',
    ),
  ).toBe(true);
});
