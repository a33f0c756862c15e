import { type Api, type ApiVersionsResponse, KafkaError } from '@ottla/protocol';

type Range = { readonly minVersion: number; readonly maxVersion: number };

/** Which versions a broker speaks, as it said itself. */
export class ApiRanges {
  readonly #byKey = new Map<number, Range>();
  readonly #broker: string;

  /** `broker` is how messages call it. */
  constructor(broker: string, apiKeys: ApiVersionsResponse['apiKeys']) {
    this.#broker = broker;
    for (const { apiKey, minVersion, maxVersion } of apiKeys) this.#byKey.set(apiKey, { minVersion, maxVersion });
  }

  /** The highest version that both speak, and that lies within the bounds. Throws UNSUPPORTED_VERSION. */
  versionFor(api: Api, bounds: { min?: number; max?: number } = {}): number {
    const theirs = this.#byKey.get(api.apiKey);
    if (!theirs) throw new KafkaError('UNSUPPORTED_VERSION', `${this.#broker} does not offer ${api.name}`);
    // A version that may still change is spoken only by who asks for it by number.
    const newest = api.latestVersionUnstable ? api.maxVersion - 1 : api.maxVersion;
    const max = Math.min(newest, theirs.maxVersion, bounds.max ?? newest);
    const min = Math.max(api.minVersion, theirs.minVersion, bounds.min ?? api.minVersion);
    if (max >= min) return max;
    throw new KafkaError(
      'UNSUPPORTED_VERSION',
      `${this.#broker} speaks ${api.name} ${theirs.minVersion} to ${theirs.maxVersion}; needed is ${describe(api, bounds)}`,
    );
  }

  offers(api: Api): boolean {
    return this.#byKey.has(api.apiKey);
  }
}

function describe(api: Api, { min = api.minVersion, max = api.maxVersion }: { min?: number; max?: number }): string {
  return `${min} to ${max}`;
}
