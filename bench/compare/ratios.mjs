// What Weft promises against transformers.js on the same adapter, and what was measured. Pure.

/**
 * @typedef {import("./participant.mjs").Row} Row
 * @typedef {{ size: string, subject: string, adapter: string, what: string, required?: number, measured: number, rival: string }} Ratio
 * @typedef {(row: Row) => number | undefined} Figure
 */

/** @type {Figure} */
const decode = (row) => row.decodeTokPerS?.median;
/** @type {Figure} */
const prefill = (row) => row.prefillTokPerS?.median;
/** @type {Figure} */
const ofEight = (row) => row.aggregateTokPerS?.["8"]?.median;

/** What the project set itself, by adapter. @param {Row} weft */
const prefillRequired = ({ adapter = "" }) => (/swiftshader/i.test(adapter) ? 3 : 1.5);

/** @param {string} weights */
const isFourBit = (weights) => /^q4/i.test(weights);

/**
 * Like with like: 4-bit weights against 4-bit weights, stored ones (f16, fp32) against stored ones.
 * @param {readonly Row[]} rows
 * @returns {Ratio[]}
 */
export function ratiosOf(rows) {
  return rows
    .filter(({ peer, aggregateTokPerS }) => peer === "Weft" && aggregateTokPerS)
    .flatMap((weft) => {
      const rivals = rows.filter(
        ({ peer, size, host, adapter, weights }) =>
          peer === "transformers.js" &&
          size === weft.size &&
          host === weft.host &&
          adapter !== undefined &&
          isFourBit(weights) === isFourBit(weft.weights),
      );
      return [
        ratio("decode", 3, weft, decode, rivals, decode),
        ratio("8 at once, over its decode of one", 6, weft, ofEight, rivals, decode),
        ratio("8 at once, over its 8", undefined, weft, ofEight, rivals, ofEight),
        ratio("8 at once, over Weft's decode of one", undefined, weft, ofEight, [weft], decode),
        ratio("prefill", prefillRequired(weft), weft, prefill, rivals, prefill),
      ].flatMap((one) => one ?? []);
    });
}

/**
 * @param {string} what
 * @param {number | undefined} required undefined where nothing is promised
 * @param {Row} weft
 * @param {Figure} own
 * @param {readonly Row[]} rivals
 * @param {Figure} theirs
 * @returns {Ratio | undefined} undefined where no rival ran
 */
function ratio(what, required, weft, own, rivals, theirs) {
  const fastest = rivals
    .map((row) => ({ rival: row.subject, speed: theirs(row) ?? 0 }))
    .sort((a, b) => b.speed - a.speed)[0];
  const speed = own(weft);
  if (!fastest?.speed || speed === undefined) return undefined;
  const { size, subject, adapter = "" } = weft;
  return {
    size,
    subject,
    adapter,
    what,
    required,
    measured: speed / fastest.speed,
    rival: fastest.rival,
  };
}
