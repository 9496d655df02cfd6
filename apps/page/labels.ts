/** How conversations are called: by the engine, in a lane, in a block. */

/** A worker may serve many tabs, and each has an A. */
const TAB = Math.random().toString(36).slice(2, 8);

/** What the engine knows a conversation of this tab as. */
export const clientOf = (name: string): string => `${name}@${TAB}`;

/** The name in this tab; `A′` is another tab's A. */
export function shownName(client: string): string {
  const [name, tab] = client.split("@");
  return tab === undefined || tab === TAB ? name : `${name}′`;
}

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
