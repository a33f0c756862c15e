/** Access control entries, each under the random id its creation drew. */

import type { Uuid } from '@ottla/protocol';

export interface AccessControlEntry {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly patternType: number;
  /** `User:name` */
  readonly principal: string;
  readonly host: string;
  readonly operation: number;
  readonly permissionType: number;
}

export class AclsImage {
  readonly #byId = new Map<Uuid, AccessControlEntry>();
  readonly #ids = new Map<string, Uuid>();

  get count(): number {
    return this.#byId.size;
  }

  get(id: Uuid): AccessControlEntry | undefined {
    return this.#byId.get(id);
  }

  has(entry: AccessControlEntry): boolean {
    return this.#ids.has(entryKey(entry));
  }

  [Symbol.iterator](): IterableIterator<[id: Uuid, entry: AccessControlEntry]> {
    return this.#byId.entries();
  }

  add(id: Uuid, entry: AccessControlEntry): void {
    this.#byId.set(id, entry);
    this.#ids.set(entryKey(entry), id);
  }

  remove(id: Uuid): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    this.#byId.delete(id);
    if (this.#ids.get(entryKey(entry)) === id) this.#ids.delete(entryKey(entry));
  }
}

export function entryKey(entry: AccessControlEntry): string {
  return JSON.stringify([
    entry.resourceType,
    entry.resourceName,
    entry.patternType,
    entry.principal,
    entry.host,
    entry.operation,
    entry.permissionType,
  ]);
}
