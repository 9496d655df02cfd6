import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  JsonError,
  type JsonValue,
  parseJsonFile,
  parseStrictJson,
} from "../../../runtime/model-folder/strict-json.ts";

/** Maps to objects, to compare with JSON.parse. */
function plain(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const object = Object.create(null);
  for (const [key, inner] of value) object[key] = plain(inner);
  return object;
}

test("reads whatever JSON.stringify writes", () => {
  fc.assert(
    fc.property(
      fc.json({ stringUnit: fc.constantFrom("a", "é", "😀", "\u0000", "\u2028", "\\", '"') }),
      fc.constantFrom(0, 2),
      (text, indent) => {
        const value = JSON.parse(text);
        expect(plain(parseStrictJson(JSON.stringify(value, null, indent)))).toEqual(value);
      },
    ),
    { numRuns: 200 },
  );
});

test("refuses what JSON.parse refuses, where JSON.parse does not mind a repeated key", () => {
  const pieces = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b\\n"',
    "1",
    "-0.5e3",
    "true",
    " ",
    '"\t"',
  ];
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((p) => p.join(""));
  fc.assert(
    fc.property(text, (text) => {
      const verdict = (parse: (text: string) => unknown) => {
        try {
          return parse(text) === undefined ? "undefined" : "valid";
        } catch (error) {
          // Ours stops there, whatever follows.
          fc.pre(!(error instanceof JsonError && /is repeated/.test(error.message)));
          return "broken";
        }
      };
      expect(verdict(parseStrictJson)).toBe(verdict(JSON.parse));
    }),
    { numRuns: 5000 },
  );
});

describe("refuses", () => {
  test.each([
    ["", "expected a value, found the end of the text", 0],
    ["[1,]", 'expected a value, found "]"', 3],
    ['{"a" 1}', 'expected ":", found "1}"', 5],
    ["{a:1}", 'expected a string, found "a:1}"', 1],
    ["[01]", 'expected "]", found "1]"', 2],
    ['"abc', "a string without end", 0],
    ['"\\x"', "a string with a broken escape or a control character", 0],
    ['{"a":{"b":1,"\\u0062":2}}', 'the key "b" is repeated', 12],
    ["NaN", 'expected a value, found "NaN"', 0],
    ["1 2", "text after the end of the value", 2],
    ["[".repeat(66), "nested deeper than 64", 65],
  ])("%j", (text, message, position) => {
    expect(() => parseStrictJson(text)).toThrow(expect.objectContaining({ message, position }));
  });
});

test("keys of Object.prototype are keys", () => {
  const value = parseStrictJson('{"__proto__":{"x":1},"constructor":2}') as Map<string, JsonValue>;
  expect([...value.keys()]).toEqual(["__proto__", "constructor"]);
  expect(({} as { x?: number }).x).toBeUndefined();
});

test("a long string or a long list takes no stack", () => {
  expect(parseStrictJson(`"${"é".repeat(3e6)}"`)).toHaveLength(3e6);
  expect(parseStrictJson(`[${"1,".repeat(3e5)}1]`)).toHaveLength(3e5 + 1);
});

test("a broken file is named with line and column", () => {
  expect(() => parseJsonFile('{\n  "a": 1,\n  b: 2\n}', "m/config.json")).toThrow(
    expect.objectContaining({
      code: "bad_file",
      message:
        'm/config.json is not valid JSON: line 3, column 3: expected a string, found "b: 2\\n}"; ' +
        "download it again",
    }),
  );
  expect(parseJsonFile('{"a":[1]}', "x")).toEqual({ a: [1] });
});
