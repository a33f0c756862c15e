/** Dynamic configs: what ConfigRecords have set, by resource. What applies where nothing is set is not known here. */

/** Codes of resources that have configs. */
export const configResource = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const;

export interface ConfigsOfResource {
  readonly type: number;
  /** For brokers an id, or '' for the cluster-wide default. */
  readonly name: string;
  readonly values: ReadonlyMap<string, string>;
}

const nothing: ReadonlyMap<string, string> = new Map();

export class ConfigsImage {
  readonly #resources = new Map<string, { type: number; name: string; values: Map<string, string> }>();

  of(type: number, name: string): ReadonlyMap<string, string> {
    return this.#resources.get(resourceKey(type, name))?.values ?? nothing;
  }

  [Symbol.iterator](): IterableIterator<ConfigsOfResource> {
    return this.#resources.values();
  }

  /** A null value removes it. */
  set(type: number, name: string, key: string, value: string | null): void {
    const id = resourceKey(type, name);
    const resource = this.#resources.get(id) ?? { type, name, values: new Map() };
    if (value === null) resource.values.delete(key);
    else resource.values.set(key, value);
    if (resource.values.size > 0) this.#resources.set(id, resource);
    else this.#resources.delete(id);
  }

  remove(type: number, name: string): void {
    this.#resources.delete(resourceKey(type, name));
  }
}

export const resourceKey = (type: number, name: string): string => `${type}:${name}`;
