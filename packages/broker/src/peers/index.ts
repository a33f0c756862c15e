export { Peer, type PeerOptions, type PeerSendOptions } from './peer.ts';
export { Peers } from './peers.ts';
