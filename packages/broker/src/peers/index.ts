export { BrokerPeers } from './broker-peers.ts';
export { Peer, type PeerOptions, type PeerSendOptions } from './peer.ts';
export { Peers } from './peers.ts';
