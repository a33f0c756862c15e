import { type Api, errors, KafkaError, type Writable } from '@ottla/protocol';
import type { RaftEvent, RaftRequest } from '@ottla/raft';
import type { Runtime } from '@ottla/runtime';
import { Peers } from '../peers/index.ts';
import { raftApis } from './raft-apis.ts';

type Options = {
  readonly runtime: Pick<Runtime, 'network' | 'timers' | 'clock' | 'random' | 'logger'>;
  readonly nodeId: number;
  /** What became of a request. */
  readonly onOutcome: (outcome: Extract<RaftEvent, { type: 'response' | 'failed' }>) => void;
  readonly connectTimeoutMs?: number | undefined;
};

/** Voters, and servers to begin with, of all generations: beyond that the connections to those of old are let go. */
const mostPeers = 64;

/** What this node asks of others for the sake of the metadata quorum: over one connection to each address, and each request with its outcome. */
export class QuorumRequests {
  readonly #options: Options;
  readonly #peers: Peers<string>;
  /** In the order of their last use. */
  readonly #used = new Set<string>();
  /** Of those, who has said that this node belongs to another cluster. */
  readonly #strangers = new Set<string>();
  #isClosed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#peers = new Peers({
      runtime: options.runtime,
      clientId: `raft-client-${options.nodeId}`,
      reconnectBackoffMs: 50,
      reconnectBackoffMaxMs: 500,
      ...(options.connectTimeoutMs === undefined ? {} : { connectTimeoutMs: options.connectTimeoutMs }),
    });
  }

  send({ requestId, destination, timeoutMs, api, request }: RaftRequest): void {
    const { host, port } = destination;
    const address = `${host}:${port}`;
    const peer = this.#peers.at(this.#use(address), { host, port });
    peer.send(raftApis[api] as Api, request as Writable<object>, { timeoutMs }).then(
      (response) => {
        this.#noteStranger(address, (response as { errorCode?: number }).errorCode);
        this.#settle({ type: 'response', requestId, api, response } as Parameters<Options['onOutcome']>[0]);
      },
      (error: unknown) => this.#settle({ type: 'failed', requestId, error: asKafkaError(error) }),
    );
  }

  /** Told once: it is asked again and again, and the answer stays the same until somebody does something. */
  #noteStranger(address: string, errorCode: number | undefined): void {
    if (errorCode !== errors.INCONSISTENT_CLUSTER_ID.code) this.#strangers.delete(address);
    else if (!this.#strangers.has(address)) {
      this.#strangers.add(address);
      this.#options.runtime.logger.error(
        'a controller belongs to a cluster with another cluster id: see cluster.id in meta.properties, and the addresses of the quorum',
        { address, error: 'INCONSISTENT_CLUSTER_ID' },
      );
    }
  }

  /** Of the addresses asked, one that does not belong to this node's cluster; undefined where there is none. */
  get addressOfOtherCluster(): string | undefined {
    const [address] = this.#strangers;
    return address;
  }

  close(): void {
    this.#isClosed = true;
    this.#peers.close();
  }

  #settle(outcome: Parameters<Options['onOutcome']>[0]): void {
    if (!this.#isClosed) this.#options.onOutcome(outcome);
  }

  #use(key: string): string {
    this.#used.delete(key);
    this.#used.add(key);
    if (this.#used.size > mostPeers) {
      for (const oldest of this.#used) {
        if (this.#used.size <= mostPeers / 2) break;
        this.#used.delete(oldest);
        this.#strangers.delete(oldest);
      }
      this.#peers.keepOnly((each) => this.#used.has(each));
    }
    return key;
  }
}

function asKafkaError(error: unknown): KafkaError {
  if (error instanceof KafkaError) return error;
  return new KafkaError('NETWORK_EXCEPTION', error instanceof Error ? error.message : String(error), { cause: error });
}
