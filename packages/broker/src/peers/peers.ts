import type { Address } from '@ottla/runtime';
import { Peer, type PeerOptions } from './peer.ts';

/**
 * The nodes that this one talks to for one purpose, by whatever tells them apart: a node's id, or the text of an address. There are as many as
 * the cluster has nodes; who is not asked for any longer is let go with `keepOnly`.
 */
export class Peers<Key extends number | string = number> {
  readonly #options: Omit<PeerOptions, 'address'>;
  readonly #peers = new Map<Key, Peer>();

  constructor(options: Omit<PeerOptions, 'address'>) {
    this.#options = options;
  }

  /** The same one for the same key; it turns to the address if it is another than before. */
  at(key: Key, address: Address): Peer {
    let peer = this.#peers.get(key);
    if (peer) peer.lookAt(address);
    else this.#peers.set(key, (peer = new Peer({ ...this.#options, address })));
    return peer;
  }

  /** Closes the connections to all others. */
  keepOnly(isWanted: (key: Key) => boolean): void {
    for (const [key, peer] of this.#peers) {
      if (isWanted(key)) continue;
      this.#peers.delete(key);
      peer.close();
    }
  }

  close(): void {
    this.keepOnly(() => false);
  }
}
