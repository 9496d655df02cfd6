/** What stands in a block or at a lane for a client: a conversation's letter, a load's number. */

/** `A` stays; `load 12` is 12. */
export const shortLabel = (client: string): string => client.replace(/^load /, "");

/** A, B, …, Z, A2, …: the first that nobody has. */
export function nextName(taken: ReadonlySet<string>): string {
  for (let i = 0; ; i++) {
    const letter = String.fromCharCode(65 + (i % 26));
    const name = i < 26 ? letter : `${letter}${Math.floor(i / 26) + 1}`;
    if (!taken.has(name)) return name;
  }
}
