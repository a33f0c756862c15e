import { ControllerRegistration, type ControllerRegistrationRequest, KafkaError, type Uuid } from '@ottla/protocol';
import { type Runtime, sleep } from '@ottla/runtime';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import type { RegisteredEndpoint } from '../listeners.ts';
import { registeredFeatures } from '../registered-features.ts';
import type { ControllerChannel } from './controller-channel.ts';

const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** Tells the cluster that a controller is there, what it knows and where it listens (KIP-919), until the metadata says so. */
export class ControllerRegistrar {
  readonly #metadata: ClusterMetadata;
  readonly #runtime: Runtime;
  readonly #channel: ControllerChannel;
  readonly #request: ControllerRegistrationRequest;
  #isSending = false;
  #isStopped = false;
  #refusedAtLevel: number | undefined;

  constructor(options: {
    metadata: ClusterMetadata;
    runtime: Runtime;
    channel: ControllerChannel;
    controllerId: number;
    incarnationId: Uuid;
    listeners: RegisteredEndpoint[];
  }) {
    const { metadata, runtime, channel, controllerId, incarnationId, listeners } = options;
    this.#metadata = metadata;
    this.#runtime = runtime;
    this.#channel = channel;
    this.#request = { controllerId, incarnationId, zkMigrationReady: false, listeners, features: registeredFeatures() };
    metadata.onChange(({ features, controllers }) => {
      if (features.size > 0 || controllers.has(controllerId)) void this.register();
    });
  }

  /** Resolves when it is registered, or when the cluster is too old for that. */
  async register(): Promise<void> {
    if (this.#isSending || this.#isRegistered || this.#refusedAtLevel === this.#level) return;
    this.#isSending = true;
    try {
      await this.#untilRegistered();
    } finally {
      this.#isSending = false;
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  get #isRegistered(): boolean {
    const { controllerId, incarnationId } = this.#request;
    return this.#metadata.image.controllers.get(controllerId)?.incarnationId === incarnationId;
  }

  get #level(): number {
    return this.#metadata.image.features.metadataVersion.level;
  }

  async #untilRegistered(): Promise<void> {
    for (let retryMs = firstRetryMs; !this.#isStopped; retryMs = Math.min(retryMs * 2, longestRetryMs)) {
      try {
        await this.#channel.send(ControllerRegistration, this.#request);
        return;
      } catch (error) {
        if (this.#isStopped) return;
        this.#runtime.logger.warn('this controller could not be registered', { error });
        // A metadata.version that knows no controllers, or is too new for this one: it is tried again when it changes.
        if (error instanceof KafkaError && error.name === 'UNSUPPORTED_VERSION') {
          this.#refusedAtLevel = this.#level;
          return;
        }
      }
      await sleep(this.#runtime.timers, retryMs);
    }
  }
}
