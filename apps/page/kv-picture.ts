/** The KV map as cells and counts: what is free, kept, one request's, shared. Pure. */
import type { KvGroupMap } from "../../worker.ts";

export type Cell =
  | { readonly kind: "free" | "cached" }
  | { readonly kind: "held" | "shared"; readonly owner: number; readonly holders: number };

export interface KvPicture {
  readonly cells: readonly Cell[];
  readonly free: number;
  /** Free, and whoever begins alike may have the content back. */
  readonly cached: number;
  /** One request's, or a session's that holds them. */
  readonly held: number;
  readonly shared: number;
  /** Blocks by request, those that it shares and came to first included. */
  readonly byOwner: ReadonlyMap<number, number>;
}

export function kvPicture({ holders, owners, cached }: KvGroupMap): KvPicture {
  const cells = holders.map((count, i): Cell => {
    if (count === 0) return { kind: cached[i] ? "cached" : "free" };
    return { kind: count > 1 ? "shared" : "held", owner: owners[i], holders: count };
  });
  const byOwner = new Map<number, number>();
  for (const owner of owners) if (owner > 0) byOwner.set(owner, (byOwner.get(owner) ?? 0) + 1);
  const number = (kind: Cell["kind"]) => cells.filter((cell) => cell.kind === kind).length;
  return {
    ...{ cells, byOwner },
    ...{ free: number("free"), cached: number("cached") },
    ...{ held: number("held"), shared: number("shared") },
  };
}
