/**
 * One memory budget that several models share. Owns who is let in and who has to go: newcomers in the
 * order in which they came, the least recently used first among those that nobody uses.
 */
import { onAbort } from "../abort-listeners.ts";
import { abortError, WeftError } from "../errors.ts";

export interface Tenant {
  readonly name: string;
  readonly isPinned: boolean;
  /** Nobody uses it, nor waits for it to be there. */
  readonly isIdle: boolean;
  /** When it was last used, on any clock. */
  readonly lastUsed: number;
  /** Nobody new may use it: it is to go as soon as it is idle. */
  leave(): void;
  /** Gives its memory back. */
  evict(): Promise<void>;
}

interface Waiter {
  readonly tenant: Tenant;
  readonly bytes: number;
  readonly admit: () => void;
  readonly refuse: (error: WeftError) => void;
}

export class MemoryRoom {
  readonly budgetBytes: number;
  readonly #tenants = new Map<Tenant, number>();
  readonly #evicting = new Set<Tenant>();
  /** Not idle yet. */
  readonly #leaving = new Set<Tenant>();
  readonly #waiters: Waiter[] = [];

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
  }

  get usedBytes(): number {
    return [...this.#tenants.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Bytes that may ever be had: those of pinned models stay theirs. */
  get mostBytes(): number {
    let bytes = this.budgetBytes;
    for (const [tenant, taken] of this.#tenants) if (tenant.isPinned) bytes -= taken;
    return bytes;
  }

  /**
   * Resolves when the memory is there, and is the tenant's.
   * @throws {WeftError} `memory_budget_too_small` where it never can be; `aborted`.
   */
  async reserve(tenant: Tenant, bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortError(signal.reason);
    let ignore = () => {};
    await new Promise<void>((admit, refuse) => {
      const waiter = { tenant, bytes, admit, refuse };
      ignore = onAbort(signal, () => {
        const at = this.#waiters.indexOf(waiter);
        if (at < 0) return;
        this.#waiters.splice(at, 1);
        refuse(abortError(signal.reason));
        this.settle();
      });
      this.#waiters.push(waiter);
      this.settle();
    }).finally(() => ignore());
  }

  /** It has given its memory back, or never took it. */
  release(tenant: Tenant): void {
    this.#tenants.delete(tenant);
    this.settle();
  }

  /** It leaves whether its memory is needed or not, as soon as it is idle. */
  discard(tenant: Tenant): void {
    this.#leaving.add(tenant);
    this.settle();
  }

  /** Somebody may have become idle. */
  settle(): void {
    for (const tenant of this.#leaving) if (tenant.isIdle) this.#evict(tenant);
    for (let first = this.#waiters.at(0); first; first = this.#waiters.at(0)) {
      if (first.bytes > this.mostBytes) {
        this.#waiters.shift();
        first.refuse(this.#tooSmall(first));
      } else if (first.bytes <= this.budgetBytes - this.usedBytes) {
        this.#waiters.shift();
        this.#tenants.set(first.tenant, first.bytes);
        first.admit();
      } else {
        this.#makeRoom(first.bytes);
        return;
      }
    }
  }

  /** As many as are needed have to go, whether they are idle yet or not. */
  #makeRoom(bytes: number): void {
    let lacking = bytes - (this.budgetBytes - this.usedBytes);
    const going = new Set([...this.#evicting, ...this.#leaving]);
    for (const tenant of going) lacking -= this.#tenants.get(tenant) ?? 0;
    const others = [...this.#tenants].filter(([tenant]) => !tenant.isPinned && !going.has(tenant));
    // Idle ones first: who works is let finish only where that is not enough.
    others.sort(([a], [b]) => Number(b.isIdle) - Number(a.isIdle) || a.lastUsed - b.lastUsed);
    for (const [tenant, taken] of others) {
      if (lacking <= 0) return;
      lacking -= taken;
      tenant.leave();
      if (tenant.isIdle) this.#evict(tenant);
      else this.#leaving.add(tenant);
    }
  }

  #evict(tenant: Tenant): void {
    this.#leaving.delete(tenant);
    this.#evicting.add(tenant);
    void tenant.evict().finally(() => {
      this.#evicting.delete(tenant);
      this.release(tenant);
    });
  }

  #tooSmall({ tenant, bytes }: Waiter): WeftError {
    const pinned = this.budgetBytes - this.mostBytes;
    return new WeftError(
      "memory_budget_too_small",
      `the model ${JSON.stringify(tenant.name)} takes ${bytes} bytes, and of memoryBudgetBytes ${this.budgetBytes} ` +
        `${pinned ? `all but the ${pinned} of pinned models` : "all"} can be had; raise the budget, ` +
        "give the model a smaller memoryBudgetBytes of its own, or pin fewer",
    );
  }
}
