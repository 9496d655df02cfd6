import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopMatcher } from "../../../runtime/tokenizer/stop-matcher.ts";

/** Cut points into pieces. */
function pieces(text: string, cuts: readonly number[]): string[] {
  const borders = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length];
  borders.sort((a, b) => a - b);
  return borders.slice(1).map((to, i) => text.slice(borders[i], to));
}

/** The whole text at once: the stop whose first occurrence ends first, the longer of two. */
function searched(text: string, stops: readonly string[]): { text: string; matched?: string } {
  const found = stops
    .map((stop) => ({ stop, at: text.indexOf(stop) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at + a.stop.length - (b.at + b.stop.length) || a.at - b.at)[0];
  return found ? { text: text.slice(0, found.at), matched: found.stop } : { text };
}

test("agrees with indexOf on the whole text, however it is cut", () => {
  const letters = (min: number, max: number) =>
    fc.string({ unit: fc.constantFrom("a", "b", "\n", "😀"), minLength: min, maxLength: max });
  fc.assert(
    fc.property(
      letters(0, 25),
      fc.array(letters(1, 5), { maxLength: 4 }),
      fc.array(fc.nat(60), { maxLength: 12 }),
      (text, stops, cuts) => {
        const matcher = new StopMatcher(stops);
        let given = "";
        let fed = "";
        for (const piece of pieces(text, cuts)) {
          given += matcher.push(piece);
          fed += piece;
          if (matcher.matched !== undefined) break;
          expect(fed.startsWith(given)).toBe(true);
          const held = fed.slice(given.length);
          // Only what may become a stop is held back.
          expect(stops.concat("").some((stop) => stop.startsWith(held))).toBe(true);
        }
        given += matcher.flush();
        expect({ text: given, matched: matcher.matched }).toEqual({
          matched: undefined,
          ...searched(text, stops),
        });
      },
    ),
    { numRuns: 1500 },
  );
});

describe("StopMatcher", () => {
  test("holds back what may become a stop and gives it when it does not", () => {
    const matcher = new StopMatcher(["</s>", "\n\n"]);
    expect(matcher.push("one")).toBe("one");
    expect(matcher.push(" <")).toBe(" ");
    expect(matcher.push("/s")).toBe("");
    expect(matcher.push("/s>")).toBe("</s/s>");
    expect(matcher.push("\n")).toBe("");
    expect(matcher.push("two")).toBe("\ntwo");
    expect(matcher.push("<")).toBe("");
    expect(matcher.flush()).toBe("<");
    expect(matcher.matched).toBeUndefined();
  });

  test("cuts before a stop that came in parts, and gives nothing after it", () => {
    const matcher = new StopMatcher(["</s>"]);
    expect(["text<", "/", "s>more", "yet more"].map((t) => matcher.push(t))).toEqual([
      "text",
      "",
      "",
      "",
    ]);
    expect(matcher.flush()).toBe("");
    expect(matcher.matched).toBe("</s>");
  });

  test("finds a stop inside the beginning of another, and one that overlaps itself", () => {
    const inner = new StopMatcher(["abcd", "bc"]);
    expect(inner.push("xabcd")).toBe("xa");
    expect(inner.matched).toBe("bc");
    const self = new StopMatcher(["aab"]);
    expect(self.push("aaa") + self.push("ab")).toBe("aa");
    expect(self.matched).toBe("aab");
  });

  test("without stops gives everything at once", () => {
    expect(new StopMatcher([]).push("abc")).toBe("abc");
  });

  test("refuses an empty stop", () => {
    expect(() => new StopMatcher(["a", ""])).toThrow(
      expect.objectContaining({ code: "bad_request" }),
    );
  });

  test("takes long stops and texts in their stride", () => {
    const matcher = new StopMatcher([`${"a".repeat(10_000)}b`]);
    let given = 0;
    for (let i = 0; i < 2000; i++) given += matcher.push("a".repeat(50)).length;
    expect(given).toBe(90_000);
    expect(matcher.push("b")).toBe("");
    expect(matcher.matched).toHaveLength(10_001);
  });
});
