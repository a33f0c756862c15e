/** SCRAM credentials: never a password, only what verifies one (RFC 5802). */

export interface ScramCredential {
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
  readonly iterations: number;
}

export class ScramImage {
  readonly #mechanisms = new Map<number, Map<string, ScramCredential>>();

  credential(mechanism: number, user: string): ScramCredential | undefined {
    return this.#mechanisms.get(mechanism)?.get(user);
  }

  /** Everybody with a credential, by name. */
  users(): string[] {
    return [...new Set([...this.#mechanisms.values()].flatMap((users) => [...users.keys()]))].sort();
  }

  *[Symbol.iterator](): IterableIterator<{ mechanism: number; user: string; credential: ScramCredential }> {
    for (const [mechanism, users] of this.#mechanisms) {
      for (const [user, credential] of users) yield { mechanism, user, credential };
    }
  }

  set(mechanism: number, user: string, credential: ScramCredential): void {
    const users = this.#mechanisms.get(mechanism) ?? new Map<string, ScramCredential>();
    this.#mechanisms.set(mechanism, users.set(user, credential));
  }

  remove(mechanism: number, user: string): void {
    const users = this.#mechanisms.get(mechanism);
    users?.delete(user);
    if (users?.size === 0) this.#mechanisms.delete(mechanism);
  }
}
