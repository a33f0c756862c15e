import { KafkaError } from '@ottla/protocol';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import type { Peer, PeerOptions } from './peer.ts';
import { Peers } from './peers.ts';

export type BrokerPeersOptions = Omit<PeerOptions, 'address'> & {
  readonly nodeId: number;
  readonly metadata: Pick<ClusterMetadata, 'image' | 'endpointOf' | 'onChange'>;
  /** Of the listener that brokers use among themselves. */
  readonly listenerName: string;
};

/**
 * The other brokers, as coordinators and leaders of partitions turn to them. A broker that the cluster has fenced, or that has come back as another
 * incarnation, is waited for no longer: what was asked of it is rejected at once, and can be asked of whoever has taken its place.
 */
export class BrokerPeers {
  readonly nodeId: number;
  readonly #metadata: BrokerPeersOptions['metadata'];
  readonly #listenerName: string;
  readonly #peers: Peers<number>;
  /** As which incarnations the peers are known. */
  readonly #epochs = new Map<number, number>();

  constructor({ nodeId, metadata, listenerName, ...options }: BrokerPeersOptions) {
    this.nodeId = nodeId;
    this.#metadata = metadata;
    this.#listenerName = listenerName;
    this.#peers = new Peers(options);
    metadata.onChange(({ brokers }) => {
      if (brokers.size > 0) this.#letGo();
    });
  }

  /** Throws BROKER_NOT_AVAILABLE. */
  to(brokerId: number): Peer {
    const endpoint = this.#metadata.endpointOf(brokerId, this.#listenerName);
    if (endpoint === undefined)
      throw new KafkaError('BROKER_NOT_AVAILABLE', `broker ${brokerId} is not there, or has no listener ${this.#listenerName}`);
    this.#epochs.set(brokerId, this.#metadata.image.brokers.get(brokerId)!.epoch);
    return this.#peers.at(brokerId, { host: endpoint.host, port: endpoint.port });
  }

  close(): void {
    this.#peers.close();
  }

  #letGo(): void {
    for (const [id, epoch] of this.#epochs) {
      const broker = this.#metadata.image.brokers.get(id);
      if (broker?.fenced === false && broker.epoch === epoch) continue;
      this.#epochs.delete(id);
    }
    this.#peers.keepOnly((id) => this.#epochs.has(id));
  }
}

/** What keeps another broker from answering: it, or who takes its place, may be there in a moment. */
export const outOfReach: ReadonlySet<string> = new Set(['NETWORK_EXCEPTION', 'REQUEST_TIMED_OUT', 'BROKER_NOT_AVAILABLE']);
