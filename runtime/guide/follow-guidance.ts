/** What becomes of a running sequence when its guide has said what may follow. */
import type { Scheduler } from "../../scheduler/index.ts";
import { WeftError } from "../errors.ts";
import type { LiveSequence } from "../live-sequence.ts";
import type { LiveSequences } from "../live-sequences.ts";
import type { Guidance } from "./guide.ts";

/** @param guidance An error where the guide cannot go on: its caller hears it. */
export function followGuidance(
  scheduler: Scheduler,
  live: LiveSequences,
  sequence: LiveSequence,
  guidance: Guidance | Error,
): void {
  const { id: sequenceId } = sequence;
  // Aborted meanwhile.
  if (live.get(sequenceId) !== sequence) return;
  if (guidance instanceof Error) {
    scheduler.abort(sequenceId);
    live.fail(sequenceId, WeftError.from(guidance));
    return;
  }
  const { given, pausesIn, mustEnd } = guidance;
  if (live.take(sequence, guidance) || mustEnd) {
    scheduler.abort(sequenceId);
    live.end([{ sequenceId, reason: "stop" }]);
  } else live.end(scheduler.resume(sequenceId, given, sequence.numRead + pausesIn));
}
