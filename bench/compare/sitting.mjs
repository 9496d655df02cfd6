// One sitting over one model: every subject is started cold, one after another, then those that run
// take turns in the timed rounds.

import { Participant } from "./participant.mjs";
import { agreeing, timedBatches } from "./protocol.mjs";

/** @typedef {import("./participant.mjs").Row} Row */

/**
 * @param {readonly import("./subjects.mjs").Subject[]} subjects
 * @param {import("./participant.mjs").Load & { repeats: number }} load
 * @param {(line: string) => void} say
 * @returns {Promise<Row[]>} In the order of the subjects
 */
export async function sit(subjects, load, say) {
  const participants = subjects.map((subject) => new Participant(subject, load));
  try {
    for (const participant of participants) {
      const { subject } = participant;
      say(`${load.size}: ${subject.name} starts cold`);
      await participant.start();
      const { failed, notRunnable, backend, adapter = "no adapter" } = participant.row;
      say(`${load.size}: ${subject.name}: ${failed ?? notRunnable ?? `${backend}, ${adapter}`}`);
      if (subject.device === "reference") await participant.end();
    }
    const racing = participants.filter(
      ({ subject, runs }) => runs && subject.device !== "reference",
    );
    for (const { round, concurrency, subject: participant } of timedBatches(racing, load.repeats)) {
      const startedMs = performance.now();
      await participant.time(round, concurrency);
      const took = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
      const name = participant.subject.name;
      say(`${load.size}: round ${round - 1}, ${name}, ${concurrency} at once: ${took}`);
    }
  } finally {
    for (const participant of participants) await participant.end();
  }
  const rows = participants.map(({ row }) => row);
  compareTokens(rows);
  return rows;
}

/** Other weights may choose other tokens: what differs is shown, not judged. @param {Row[]} rows */
function compareTokens(rows) {
  const right = rows.find(({ subject }) => subject === "weft-reference")?.coldIds;
  if (right === undefined) return;
  for (const row of rows) {
    if (row.coldIds) row.agreement = `${agreeing(row.coldIds, right)}/${right.length}`;
  }
}
