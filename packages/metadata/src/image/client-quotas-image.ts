/** Quotas by entity: a user, a client id, both together, or an address; a null name is the default for its type. */

export interface QuotaEntityPart {
  readonly entityType: string;
  readonly entityName: string | null;
}

export interface ClientQuotas {
  readonly entity: readonly QuotaEntityPart[];
  readonly values: ReadonlyMap<string, number>;
}

const nothing: ReadonlyMap<string, number> = new Map();

export class ClientQuotasImage {
  readonly #entities = new Map<string, { entity: readonly QuotaEntityPart[]; values: Map<string, number> }>();

  of(entity: readonly QuotaEntityPart[]): ReadonlyMap<string, number> {
    return this.#entities.get(quotaEntityKey(entity))?.values ?? nothing;
  }

  [Symbol.iterator](): IterableIterator<ClientQuotas> {
    return this.#entities.values();
  }

  set(entity: readonly QuotaEntityPart[], key: string, value: number): void {
    const id = quotaEntityKey(entity);
    const quotas = this.#entities.get(id) ?? { entity: orderedEntity(entity), values: new Map() };
    quotas.values.set(key, value);
    this.#entities.set(id, quotas);
  }

  remove(entity: readonly QuotaEntityPart[], key: string): void {
    const id = quotaEntityKey(entity);
    const quotas = this.#entities.get(id);
    quotas?.values.delete(key);
    if (quotas?.values.size === 0) this.#entities.delete(id);
  }
}

/** The parts of an entity have no order of their own; this is the one in which records and answers name them. */
export function orderedEntity(entity: readonly QuotaEntityPart[]): QuotaEntityPart[] {
  return entity
    .map(({ entityType, entityName }) => ({ entityType, entityName }))
    .sort((a, b) => (a.entityType < b.entityType ? -1 : a.entityType > b.entityType ? 1 : 0));
}

export function quotaEntityKey(entity: readonly QuotaEntityPart[]): string {
  return JSON.stringify(orderedEntity(entity).map(({ entityType, entityName }) => [entityType, entityName]));
}
