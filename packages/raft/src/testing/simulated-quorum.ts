import { KafkaError, type Uuid } from '@ottla/protocol';
import type { RaftEvent, RaftReply, RaftRequest } from '../effects.ts';
import type { ElectionState } from '../election-state.ts';
import type { RaftApi } from '../messages.ts';
import type { StateName } from '../raft-state.ts';
import { type Voter, type VoterKey, VoterSet } from '../voter-set.ts';
import { asReceived, versionOf } from './raft-wire.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { type NodeSettings, SimulatedNode } from './simulated-node.ts';

/** What happens to one message or disk operation: nothing, or how long it takes. Several: it arrives as often. */
export type Weather = {
  /** In ms; an empty list: it is lost. */
  transit(from: number, to: number): readonly number[];
  /** How long a sync takes. */
  syncMs(node: number): number;
  random(node: number): number;
};

/** Hears what goes on, to write it down or to check it. */
export type Witness = {
  lost?(from: number, to: number, api: RaftApi): void;
  sent?(from: SimulatedNode, api: RaftApi, request: object): void;
  answered?(by: SimulatedNode, api: RaftApi, request: object, response: object): void;
  requestArrived?(from: number, to: number, api: RaftApi, request: object): void;
  responseArrived?(from: number, to: number, api: RaftApi, response: object, request: object): void;
  stepped?(node: SimulatedNode, event: RaftEvent, before: StateName): void;
  savedElection?(node: SimulatedNode, state: ElectionState): void;
  truncated?(node: SimulatedNode, endOffset: number): void;
  carriedOut?(node: SimulatedNode): void;
};

type Happening = { readonly atMs: number; readonly order: number; readonly run: () => void };
type Expected = { readonly from: SimulatedNode; readonly life: number; readonly request: RaftRequest; readonly version: number };

const unreachable = new KafkaError('NETWORK_EXCEPTION', 'nobody listens there');
const timedOut = new KafkaError('REQUEST_TIMED_OUT');

/** Several nodes, their disks and the network between them, on one virtual clock. */
export class SimulatedQuorum {
  readonly nodes = new Map<number, SimulatedNode>();
  nowMs = 1000;
  readonly #weather: Weather;
  readonly #witness: Witness;
  #happenings: Happening[] = [];
  #order = 0;
  #nextRequestId = 0;
  readonly #expected = new Map<number, Expected>();
  bootstrapIds: readonly number[] = [];

  constructor(weather: Weather, witness: Witness = {}) {
    this.#weather = weather;
    this.#witness = witness;
  }

  random(node: number): number {
    return this.#weather.random(node);
  }

  get bootstrapServers(): { host: string; port: number }[] {
    return this.bootstrapIds.map((id) => ({ host: `n${id}`, port: 9093 }));
  }

  add(
    self: Voter,
    formatted: { readonly voters: VoterSet; readonly kRaftVersion: number },
    settings: NodeSettings = {},
  ): SimulatedNode {
    const node = new SimulatedNode(this, self, new SimulatedDisk(formatted), settings);
    this.nodes.set(self.id, node);
    return node;
  }

  readonly #lostDisks = new Set<Uuid>();

  /** A node comes back under its id with an empty disk. */
  replaceDisk(node: SimulatedNode, directoryId: Uuid): SimulatedNode {
    this.#lostDisks.add(node.self.directoryId);
    this.nodes.delete(node.id);
    const formatted = { voters: new VoterSet([]), kRaftVersion: 1 };
    const again = this.add({ ...node.self, directoryId }, formatted, node.settings);
    again.life = node.life + 1;
    return again;
  }

  hasLostDisk({ directoryId }: VoterKey): boolean {
    return this.#lostDisks.has(directoryId);
  }

  node(id: number): SimulatedNode {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }

  get leader(): SimulatedNode | undefined {
    return [...this.nodes.values()]
      .filter(({ raft }) => raft?.isLeader)
      .sort((a, b) => b.raft!.leaderAndEpoch.leaderEpoch - a.raft!.leaderAndEpoch.leaderEpoch)[0];
  }

  /** Does the next thing that happens up to then. False: nothing does. */
  step(untilMs: number): boolean {
    const next = this.#nextMs();
    if (next === null || next > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      return false;
    }
    this.nowMs = Math.max(this.nowMs, next);
    const [first] = this.#happenings;
    if (first && first.atMs <= this.nowMs) {
      this.#happenings.shift();
      first.run();
      return true;
    }
    for (const node of this.nodes.values()) {
      if (node.wakeAtMs === null || node.wakeAtMs > this.nowMs) continue;
      node.wakeAtMs = null;
      node.happened({ type: 'wake' });
      return true;
    }
    return true;
  }

  run(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.step(untilMs));
  }

  #nextMs(): number | null {
    let nextMs = this.#happenings[0]?.atMs ?? null;
    for (const { wakeAtMs } of this.nodes.values())
      if (wakeAtMs !== null && (nextMs === null || wakeAtMs < nextMs)) nextMs = wakeAtMs;
    return nextMs;
  }

  schedule(delayMs: number, run: () => void): void {
    const happening = { atMs: this.nowMs + delayMs, order: this.#order++, run };
    let index = this.#happenings.length;
    while (index > 0 && this.#happenings[index - 1]!.atMs > happening.atMs) index--;
    this.#happenings.splice(index, 0, happening);
  }

  /** In the same life of the node, after a sync's time. */
  later(node: SimulatedNode, run: () => void): void {
    const { life } = node;
    this.schedule(this.#weather.syncMs(node.id), () => {
      if (node.life === life && node.isUp) run();
    });
  }

  write(node: SimulatedNode): void {
    const { endOffset } = node.disk;
    const { epoch } = node.disk.batches.at(-1)!;
    this.schedule(0, () => {
      if (node.isUp && node.raft!.logEndOffset >= endOffset)
        node.happened({ type: 'written', endOffset: Math.min(endOffset, node.disk.endOffset) });
    });
    this.later(node, () => {
      // A sync that began before the log was cut says nothing about what was written since.
      if (node.disk.batches.some((batch) => batch.endOffset === endOffset && batch.epoch === epoch)) {
        node.disk.flush(endOffset);
        node.happened({ type: 'flushed', endOffset });
      }
    });
  }

  send(from: SimulatedNode, request: RaftRequest): void {
    const to = this.#nodeAt(request);
    const { requestId, api } = request;
    const fail = (error: KafkaError): void => this.#inLife(from, 1, { type: 'failed', requestId, error });
    if (!to) {
      fail(unreachable);
      return;
    }
    const version = versionOf(api, api === 'vote' ? to.settings.voteVersion : undefined);
    let received: object;
    try {
      received = asReceived(api, 'request', request.request, version);
    } catch (error) {
      fail(error as KafkaError);
      return;
    }
    const { life } = from;
    this.#witness.sent?.(from, api, received);
    const delays = this.#weather.transit(from.id, to.id);
    if (delays.length === 0) this.#witness.lost?.(from.id, to.id, api);
    for (const delayMs of delays) {
      this.schedule(delayMs, () => {
        if (to.isUp) this.#witness.requestArrived?.(from.id, to.id, api, received);
        else {
          if (from.life === life) fail(unreachable);
          return;
        }
        this.#arrived(to, { from, life, request, version }, received);
      });
    }
    this.schedule(request.timeoutMs, () => {
      if (from.life === life) from.happened({ type: 'failed', requestId, error: timedOut });
    });
  }

  #inLife(node: SimulatedNode, delayMs: number, event: RaftEvent): void {
    const { life } = node;
    this.schedule(delayMs, () => {
      if (node.life === life) node.happened(event);
    });
  }

  #arrived(to: SimulatedNode, expected: Expected, received: object): void {
    const requestId = this.#nextRequestId++;
    const { api } = expected.request;
    this.#expected.set(requestId, expected);
    if (api === 'apiVersions') {
      const supportedFeatures = [
        { name: 'kraft.version', minVersion: to.self.minKRaftVersion, maxVersion: to.self.maxKRaftVersion },
      ];
      this.#respond(to, requestId, { errorCode: 0, supportedFeatures });
      return;
    }
    const event = { type: 'request', requestId, listenerName: 'CONTROLLER', api, version: expected.version, request: received };
    to.happened(event as unknown as RaftEvent);
  }

  /** Somebody tells a node that its leader is where it is not: in the listener that it uses, and in one more. */
  mislead(leader: SimulatedNode, node: SimulatedNode, where: { readonly host: string; readonly port: number }): void {
    const { leaderEpoch } = leader.raft!.leaderAndEpoch;
    const partition = { partitionIndex: 0, voterDirectoryId: node.self.directoryId, leaderId: leader.id, leaderEpoch };
    const leaderEndpoints = ['CONTROLLER', 'CONTROLLER_2'].map((name) => ({ name, ...where }));
    const topics = [{ topicName: '__cluster_metadata', partitions: [partition] }];
    this.ask(node, 'beginQuorumEpoch', { voterId: node.id, topics, leaderEndpoints }, () => undefined);
  }

  /** Somebody outside asks, as a tool does. */
  ask(
    to: SimulatedNode,
    api: 'addRaftVoter' | 'removeRaftVoter' | 'beginQuorumEpoch',
    request: object,
    answered: (response: object) => void,
  ): void {
    const requestId = this.#nextRequestId++;
    const version = versionOf(api);
    this.#asked.set(requestId, answered);
    const received = asReceived(api, 'request', { clusterId: 'cluster', ...request }, version);
    to.happened({ type: 'request', requestId, listenerName: 'CONTROLLER', api, version, request: received } as RaftEvent);
  }

  readonly #asked = new Map<number, (response: object) => void>();

  answer(by: SimulatedNode, { requestId, api, response }: RaftReply): void {
    const asked = this.#asked.get(requestId);
    if (asked) {
      this.#asked.delete(requestId);
      asked(asReceived(api, 'response', response, versionOf(api)));
      return;
    }
    this.#respond(by, requestId, response);
  }

  #respond(by: SimulatedNode, requestId: number, response: object): void {
    const expected = this.#expected.get(requestId);
    this.#expected.delete(requestId);
    if (!expected) throw new Error(`request ${requestId} is answered twice`);
    const { from, life, request, version } = expected;
    const received = asReceived(request.api, 'response', response, version);
    this.#witness.answered?.(by, request.api, request.request, received);
    for (const delayMs of this.#weather.transit(by.id, from.id)) {
      this.schedule(delayMs, () => {
        if (from.life !== life || !from.isUp) return;
        this.#witness.responseArrived?.(by.id, from.id, request.api, received, request.request);
        from.happened({ type: 'response', requestId: request.requestId, api: request.api, response: received } as RaftEvent);
      });
    }
  }

  #nodeAt({ destination }: RaftRequest): SimulatedNode | undefined {
    return [...this.nodes.values()].find(({ self }) =>
      self.endpoints.some(({ host, port }) => host === destination.host && port === destination.port),
    );
  }

  stepped(node: SimulatedNode, event: RaftEvent, before: StateName): void {
    this.#witness.stepped?.(node, event, before);
  }

  saveElection(node: SimulatedNode, state: ElectionState): void {
    node.disk.electionState = state;
    this.#witness.savedElection?.(node, state);
  }

  truncated(node: SimulatedNode, endOffset: number): void {
    this.#witness.truncated?.(node, endOffset);
  }

  carriedOut(node: SimulatedNode): void {
    this.#witness.carriedOut?.(node);
  }
}

/** Directory ids that are easy to tell apart: the node's id, and how often its disk was replaced. */
export const directoryIdOf = (id: number, replaced = 0): Uuid => {
  const bytes = new Uint8Array(16);
  bytes[0] = id;
  bytes[1] = replaced;
  bytes[15] = 1;
  return Buffer.from(bytes).toString('base64url');
};

export const simulatedVoter = (id: number, directoryId = directoryIdOf(id)): Voter => ({
  id,
  directoryId,
  endpoints: [{ name: 'CONTROLLER', host: `n${id}`, port: 9093 }],
  minKRaftVersion: 0,
  maxKRaftVersion: 1,
});
