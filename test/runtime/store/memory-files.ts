// A store in memory, with a quota and with disks that lose what was written.

import { type FileStore, NoRoomError } from "../../../runtime/store/file-store.ts";
import type { Bytes } from "../../../runtime/weights/byte-source.ts";

export class MemoryFiles implements FileStore {
  readonly location = `memory ${crypto.randomUUID()}`;
  readonly contents = new Map<string, Bytes>();
  quotaBytes = Number.POSITIVE_INFINITY;
  /** What `estimate` says, where that is not the quota. */
  saidBytes: number | undefined;
  persisted = 0;

  get usedBytes(): number {
    return [...this.contents.values()].reduce((sum, { length }) => sum + length, 0);
  }

  async isAvailable() {
    return true;
  }

  async folders(path: string) {
    const prefix = path === "" ? "" : `${path}/`;
    const names = [...this.contents.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length).split("/"));
    return [...new Set(names.filter(({ length }) => length > 1).map(([name]) => name))];
  }

  async files(path: string) {
    const prefix = `${path}/`;
    const entries = [...this.contents].map(([key, bytes]) => [key, bytes.length] as const);
    return new Map(
      entries
        .filter(([key]) => key.startsWith(prefix) && !key.slice(prefix.length).includes("/"))
        .map(([key, sizeBytes]) => [key.slice(prefix.length), sizeBytes]),
    );
  }

  async read(path: string, from?: number, to?: number) {
    return this.contents.get(path)?.slice(from, to);
  }

  async write(path: string, bytes: Bytes) {
    const before = this.contents.get(path)?.length ?? 0;
    if (this.usedBytes - before + bytes.length > this.quotaBytes) throw new NoRoomError("full");
    this.contents.set(path, bytes.slice());
  }

  async remove(path: string) {
    for (const key of [...this.contents.keys()]) {
      if (key === path || key.startsWith(`${path}/`)) this.contents.delete(key);
    }
  }

  async estimate() {
    const { usedBytes } = this;
    return { usedBytes, availableBytes: (this.saidBytes ?? this.quotaBytes) - usedBytes };
  }

  readonly persist = async () => {
    this.persisted++;
    return true;
  };
}
