/** Numbers between bounds, as grammars of their digits. Compares as decimal texts, so a bound is met exactly. */
import { charsOf, choice, type Expr, optional, repeat, sequence, text } from "../grammar.ts";
import { DIGIT, MAX_DIGITS } from "./json-text.ts";

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly isMinExclusive?: boolean;
  readonly isMaxExclusive?: boolean;
}

/** Digits behind the point, unless a bound has more. */
const FRACTION = 6;
const LARGEST = 10 ** MAX_DIGITS - 1;

/** @returns undefined where no integer of 15 digits fits. */
export function integersBetween({
  min,
  max,
  isMinExclusive,
  isMaxExclusive,
}: Bounds): Expr | undefined {
  const above =
    min === undefined
      ? -LARGEST
      : Math.ceil(min) + (isMinExclusive && Number.isInteger(min) ? 1 : 0);
  const below =
    max === undefined
      ? LARGEST
      : Math.floor(max) - (isMaxExclusive && Number.isInteger(max) ? 1 : 0);
  const [from, to] = [Math.max(above, -LARGEST), Math.min(below, LARGEST)];
  if (from > to) return undefined;
  const options: Expr[] = [];
  if (to >= 0) options.push(naturals(Math.max(from, 0), to));
  if (from < 0) options.push(sequence(text("-"), naturals(Math.max(1, -to), -from)));
  return choice(...options);
}

/** @returns undefined where nothing of 15 digits fits. */
export function numbersBetween(bounds: Bounds): Expr | undefined {
  const { min, max, isMinExclusive = false, isMaxExclusive = false } = bounds;
  const positive = decimals(
    min === undefined || min < 0
      ? { value: "0", isOpen: false }
      : { value: plain(min), isOpen: isMinExclusive },
    max === undefined
      ? undefined
      : max < 0
        ? "none"
        : { value: plain(max), isOpen: isMaxExclusive },
  );
  const negative = decimals(
    max === undefined || max > 0
      ? { value: "0", isOpen: false }
      : { value: plain(-max), isOpen: isMaxExclusive },
    min === undefined
      ? undefined
      : min >= 0
        ? "none"
        : { value: plain(-min), isOpen: isMinExclusive },
  );
  const options = [
    ...(positive ? [positive] : []),
    ...(negative ? [sequence(text("-"), negative)] : []),
  ];
  return options.length === 0 ? undefined : choice(...options);
}

interface End {
  readonly value: string;
  /** The value itself is not in. */
  readonly isOpen: boolean;
}

function decimals(low: End, high: End | "none" | undefined): Expr | undefined {
  if (high === "none") return undefined;
  const [lowInt, lowFraction] = parts(low.value);
  const [highInt, highFraction] = high ? parts(high.value) : [undefined, ""];
  const numDigits = Math.max(FRACTION, lowFraction.length, highFraction.length);
  const last = 10 ** (MAX_DIGITS - numDigits) - 1;
  const to = Math.min(highInt ?? last + 1, last + 1);
  if (lowInt > to) return undefined;
  const floor = { digits: lowFraction, isOpen: low.isOpen };
  const ceiling =
    high && highInt === to ? { digits: highFraction, isOpen: high.isOpen } : undefined;
  const options: Expr[] = [];
  const add = (int: Expr, fraction: Expr | undefined) => {
    if (fraction) options.push(sequence(int, fraction));
  };
  if (lowInt === to) {
    add(text(String(to)), fractions(floor, ceiling, numDigits));
  } else {
    add(text(String(lowInt)), fractions(floor, undefined, numDigits));
    if (lowInt + 1 <= to - 1)
      add(naturals(lowInt + 1, to - 1), fractions(undefined, undefined, numDigits));
    if (ceiling) add(text(String(to)), fractions(undefined, ceiling, numDigits));
  }
  return options.length === 0 ? undefined : choice(...options);
}

interface Edge {
  readonly digits: string;
  readonly isOpen: boolean;
}

/** What may stand behind an integer part: nothing, or a point and digits that lie between the edges. */
function fractions(
  low: Edge | undefined,
  high: Edge | undefined,
  numDigits: number,
): Expr | undefined {
  if (!low && !high) return optional(sequence(text("."), repeat(DIGIT, 1, numDigits)));
  /** What may follow the first `at` digits, which are those of an edge as long as it is given. */
  const after = (
    at: number,
    floor: Edge | undefined,
    ceiling: Edge | undefined,
  ): Expr | undefined => {
    const isEnough = !floor || (at >= floor.digits.length && !floor.isOpen);
    const isNotTooMuch = !ceiling || at < ceiling.digits.length || !ceiling.isOpen;
    // A point needs a digit behind it.
    const options: Expr[] = at > 0 && isEnough && isNotTooMuch ? [text("")] : [];
    const least = Number(floor?.digits[at] ?? 0);
    const most = ceiling ? Number(ceiling.digits[at] ?? 0) : 9;
    if (at < numDigits) {
      // Digits between the edges leave the rest free.
      const [from, to] = [floor ? least + 1 : least, ceiling ? most - 1 : most];
      if (from <= to) {
        options.push(sequence(charsOf(`${from}${to}`), repeat(DIGIT, 0, numDigits - at - 1)));
      }
      for (const digit of new Set([...(floor ? [least] : []), ...(ceiling ? [most] : [])])) {
        if (digit < least || digit > most) continue;
        const onFloor = digit === least ? floor : undefined;
        const rest = after(at + 1, onFloor, digit === most ? ceiling : undefined);
        if (rest) options.push(sequence(text(String(digit)), rest));
      }
    }
    return options.length === 0 ? undefined : choice(...options);
  };
  const digits = after(0, low, high);
  const mayBeWhole =
    (!low || (low.digits === "" && !low.isOpen)) && !(high?.digits === "" && high.isOpen);
  const point = digits && sequence(text("."), digits);
  return mayBeWhole ? (point ? optional(point) : text("")) : point;
}

/** Digits of all numbers from one to the other, without zeros in front. */
function naturals(from: number, to: number): Expr {
  const options: Expr[] = [];
  for (let low = from; low <= to; ) {
    const high = Math.min(to, 10 ** String(low).length - 1);
    options.push(sameLength(String(low), String(high)));
    low = high + 1;
  }
  return choice(...options);
}

function sameLength(low: string, high: string): Expr {
  if (low === high) return text(low);
  if (low.length === 1) return charsOf(low + high);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const [zeros, nines] = ["0".repeat(lowRest.length), "9".repeat(lowRest.length)];
  const any = repeat(DIGIT, lowRest.length, lowRest.length);
  if (first === last) return sequence(text(low[0]), sameLength(lowRest, highRest));
  const isLowWhole = lowRest === zeros;
  const isHighWhole = highRest === nines;
  const options: Expr[] = [];
  if (!isLowWhole) options.push(sequence(text(low[0]), sameLength(lowRest, nines)));
  const [from, to] = [isLowWhole ? first : first + 1, isHighWhole ? last : last - 1];
  if (from <= to) options.push(sequence(charsOf(`${from}${to}`), any));
  if (!isHighWhole) options.push(sequence(text(high[0]), sameLength(zeros, highRest)));
  return choice(...options);
}

/** Integer part, and digits behind the point without zeros at the end. */
function parts(value: string): [number, string] {
  const [int, fraction = ""] = value.split(".");
  return [Number(int), fraction.replace(/0+$/, "")];
}

/** Without an exponent. */
function plain(value: number): string {
  const short = String(Math.abs(value));
  if (!short.includes("e")) return short;
  return Math.abs(value) >= 1 ? BigInt(Math.abs(value)).toString() : Math.abs(value).toFixed(20);
}

/** Whether bounds have so few digits that numbers beside them are told apart. */
export const isExact = (bound: number): boolean =>
  Math.abs(bound) <= 1e9 &&
  (plain(bound).split(".")[1]?.replace(/0+$/, "") ?? "").length <= FRACTION;
