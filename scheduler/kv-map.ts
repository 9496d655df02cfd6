/**
 * Whose each KV block is, at one moment: a picture for people. Plain data, worked out when it is asked
 * for; decides nothing.
 */
import { TRASH_BLOCK } from "./block-pool.ts";
import type { KvBlocks } from "./kv-blocks.ts";
import type { KvGroup, SequenceId } from "./work-plan.ts";

export interface KvMap {
  readonly blockTokens: number;
  /** Per KV group. */
  readonly groups: readonly KvGroupMap[];
}

/** Entry i of each list is block i + 1: the trash block is left out. */
export interface KvGroupMap {
  readonly kind: KvGroup["kind"];
  /** Tables, and sessions that are held, with the block in them; 0 of a free block. */
  readonly holders: readonly number[];
  /** The sequence that holds it, of several the first that came; 0 where none does. */
  readonly owners: readonly SequenceId[];
  /** The prefix cache knows its content: of a free block, whoever begins alike may have it back. */
  readonly cached: readonly boolean[];
}

/** @param sequences Those that have not ended, in order of arrival; their ids are above 0. */
export function kvMap(
  blocks: KvBlocks,
  sequences: Iterable<{ readonly id: SequenceId; readonly blocks: { snapshot(): number[][] } }>,
): KvMap {
  const owners = blocks.capacity.map((capacity) => new Array<SequenceId>(capacity).fill(0));
  for (const { id, blocks: own } of sequences) {
    for (const [group, table] of own.snapshot().entries()) {
      for (const block of table) if (block !== TRASH_BLOCK) owners[group][block - 1] ||= id;
    }
  }
  const groups = blocks.snapshot().map((pool, group) => ({
    kind: blocks.groups[group].kind,
    ...pool,
    owners: owners[group],
  }));
  return { blockTokens: blocks.blockTokens, groups };
}
