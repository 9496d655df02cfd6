// Schemas of growing depth, made up by a seed: every keyword that is enforced, alone and in each other.

const WORDS = ["name", "age", "tags", "x", "city", "note", "ünit", 'a "b"', "id", "value"];
const FORMATS = [
  "date",
  "time",
  "date-time",
  "email",
  "ipv4",
  "ipv6",
  "uuid",
  "hostname",
  "uri",
  "duration",
];
const PATTERNS = [
  "^[a-z]{2,4}-\\d+$",
  "b.",
  "^(foo|bar)?$",
  "^[^x]{1,3}$",
  '^["\\\\\\n]+$',
  "^\\S+ é$",
];

/** @param random From 0 to 1. */
export function madeSchema(random: () => number, depth: number): object {
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(of: readonly T[]): T => of[below(of.length)];
  const maybe = <T extends object>(chance: number, of: () => T): T | object =>
    random() < chance ? of() : {};
  const leaves: (() => object)[] = [
    () => ({ type: "string" }),
    () => ({ type: "string", minLength: below(4), maxLength: 3 + below(8) }),
    () => ({ type: "string", pattern: pick(PATTERNS) }),
    () => ({ type: "string", format: pick(FORMATS) }),
    () => ({ type: "integer" }),
    () => ({ type: "integer", minimum: below(2000) - 1000, maximum: 1000 + below(5000) }),
    () => ({ type: "integer", exclusiveMinimum: -below(30) }),
    () => ({ type: "number" }),
    () => ({ type: "number", minimum: below(100) / 4 - 12, exclusiveMaximum: 20 + below(100) / 8 }),
    () => ({ type: "number", exclusiveMinimum: 0, maximum: 0.5 }),
    () => ({ type: "boolean" }),
    () => ({ type: "null" }),
    () => ({ type: ["string", "null"] }),
    () => ({ enum: [pick(WORDS), "é\n", 12, -0.5, null, { a: [1, {}] }].slice(below(3)) }),
    () => ({ const: pick<unknown>([pick(WORDS), 7, [true, []], { k: "v" }]) }),
  ];
  const inside = () => madeSchema(random, depth - 1);
  const branches: (() => object)[] = [
    () => {
      const names = WORDS.filter(() => random() < 0.4);
      return {
        type: "object",
        properties: Object.fromEntries(names.map((name) => [name, inside()])),
        required: names.filter(() => random() < 0.5),
        ...maybe(0.3, () => ({ additionalProperties: pick([false, true, { type: "integer" }]) })),
      };
    },
    () => ({
      type: "object",
      additionalProperties: inside(),
      ...maybe(0.4, () => ({ minProperties: 1 })),
      ...maybe(0.4, () => ({ maxProperties: 3 })),
    }),
    () => ({ type: "object", propertyNames: { maxLength: 4 }, additionalProperties: inside() }),
    () => ({
      type: "array",
      items: inside(),
      ...maybe(0.5, () => ({ minItems: below(3) })),
      ...maybe(0.5, () => ({ maxItems: 3 + below(3) })),
    }),
    () => ({
      type: "array",
      prefixItems: [inside(), inside()],
      ...maybe(0.5, () => ({ items: false })),
      ...maybe(0.5, () => ({ minItems: below(3) })),
    }),
    () => ({ anyOf: [inside(), inside()] }),
    () => ({
      oneOf: [
        { type: "object", properties: { kind: { const: "a" }, of: inside() }, required: ["kind"] },
        {
          type: "object",
          properties: { kind: { const: "b" }, of: inside() },
          required: ["kind", "of"],
        },
      ],
    }),
    () => ({
      allOf: [
        { type: "object", properties: { a: inside() }, required: ["a"] },
        { properties: { b: inside() } },
      ],
    }),
  ];
  return depth <= 0 ? pick(leaves)() : pick(random() < 0.15 ? leaves : branches)();
}

/** A list that goes on as long as it likes. */
export const recursiveSchema: object = {
  $defs: {
    node: {
      type: "object",
      properties: {
        v: { type: "integer" },
        next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
      },
      required: ["v", "next"],
    },
  },
  $ref: "#/$defs/node",
};
