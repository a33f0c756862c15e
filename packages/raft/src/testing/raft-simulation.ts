import { VoterSet } from '../voter-set.ts';
import { QuorumPromises } from './quorum-promises.ts';
import { seededRandom } from './seeded-random.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { directoryIdOf, SimulatedQuorum, simulatedVoter, type Weather } from './simulated-quorum.ts';

/** A seed, how long the weather is bad, and how long it is calm afterwards. */
export type Story = { readonly seed: number; readonly chaosMs: number; readonly calmMs: number };

export const storyOf = (seed: number): Story => ({ seed, chaosMs: 12_000, calmMs: 12_000 });

export type Told = { readonly steps: number; readonly committed: number; readonly elections: number };

/** Runs a quorum through bad weather and then a calm, and throws for a broken promise. What happens follows from the seed alone. */
export function runStory(story: Story, log?: (line: string) => void): Told {
  return new Life(story, log).run();
}

class Life {
  readonly #story: Story;
  readonly #log: ((line: string) => void) | undefined;
  readonly #random: () => number;
  readonly #promises = new QuorumPromises();
  readonly #quorum: SimulatedQuorum;
  readonly #cuts = new Set<string>();
  #isCalm = false;
  #losses: number;
  #nextValue = 0;
  #replaced = 0;
  #steps = 0;
  #elections = 0;
  readonly #isDynamic: boolean;
  /** Elections without pre-votes, and voters that crash right after they have voted. */
  readonly #isStormy: boolean;
  readonly #controllers: number[] = [];

  constructor(story: Story, log?: (line: string) => void) {
    this.#story = story;
    this.#log = log;
    this.#random = seededRandom(story.seed);
    this.#losses = this.#random() < 0.3 ? 0 : this.#random() * 0.1;
    this.#isDynamic = this.#random() < 0.7;
    this.#isStormy = this.#random() < 0.4;
    const weather: Weather = {
      transit: (from, to) => this.#transit(from, to),
      syncMs: () => this.#syncMs(),
      random: this.#random,
    };
    this.#quorum = new SimulatedQuorum(weather, {
      savedElection: (node, state) => this.#promises.savedElection(node, state),
      stepped: (node, event, before) => {
        this.#steps++;
        const { state } = node.raft!;
        if (state === before) return;
        if (state === 'leader') this.#elections++;
        this.#say(() => `${node.id}: ${before} -> ${state}, ${JSON.stringify(node.raft!.leaderAndEpoch)} (${event.type})`);
      },
      sent: (node, api, request) => this.#promises.sent(node, api, request),
      answered: (node, api, request, response) => {
        this.#promises.answered(node, api, request, response);
        if (api === 'vote' && this.#isStormy && this.#random() < 0.1) this.#crashSoon(node);
      },
      truncated: (node, endOffset) => {
        this.#promises.truncated(node);
        this.#say(() => `${node.id}: truncates to ${endOffset}`);
      },
      carriedOut: (node) => this.#promises.carriedOut(node),
    });
    this.#promises.watch(this.#quorum);
    this.#addNodes();
  }

  run(): Told {
    const quorum = this.#quorum;
    for (const node of quorum.nodes.values()) node.start();
    const calmFromMs = quorum.nowMs + this.#story.chaosMs;
    while (quorum.nowMs < calmFromMs) {
      quorum.run(Math.floor(this.#random() * 150));
      this.#doSomething();
    }
    this.#calm();
    quorum.run(this.#story.calmMs);
    this.#requireLife();
    return { steps: this.#steps, committed: this.#promises.committedEndOffset, elections: this.#elections };
  }

  #addNodes(): void {
    const count = this.#pick([1, 3, 3, 3, 4, 5]);
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    const known = this.#isDynamic
      ? ids.map((id) => simulatedVoter(id))
      : ids.map((id) => ({ ...simulatedVoter(id), directoryId: 'AAAAAAAAAAAAAAAAAAAAAA' }));
    const formatted = { voters: new VoterSet(known), kRaftVersion: this.#isDynamic ? 1 : 0 };
    const isAutoJoining = this.#random() < 0.3;
    const fetchMaxBytes = this.#pick([80, 400, 2000]);
    for (const id of ids) {
      const isOld = this.#random() < (this.#isStormy ? 0.8 : 0.1);
      this.#quorum.add(simulatedVoter(id), formatted, { isAutoJoining, fetchMaxBytes, ...(isOld ? { voteVersion: 1 } : {}) });
      this.#controllers.push(id);
    }
    const unformatted = this.#isDynamic ? { voters: new VoterSet([]), kRaftVersion: 1 } : formatted;
    if (this.#isDynamic) {
      for (const id of [11, 12].slice(0, this.#pick([0, 1, 2]))) {
        this.#quorum.add(simulatedVoter(id), unformatted, { isAutoJoining });
        this.#controllers.push(id);
      }
    }
    if (this.#random() < 0.5) this.#quorum.add(simulatedVoter(21), unformatted, { canVote: false });
    this.#quorum.bootstrapIds = ids;
  }

  #doSomething(): void {
    const what = this.#random();
    if (what < 0.5) this.#append();
    else if (what < 0.58) this.#crash(this.#anyNode());
    else if (what < 0.7) this.#startAgain();
    else if (what < 0.76) this.#cut();
    else if (what < 0.82) this.#heal();
    else if (what < 0.88) this.#snapshot(this.#anyNode());
    else if (what < 0.92 && this.#isDynamic) this.#changeVoters();
    else if (what < 0.95) this.#resign(this.#anyNode());
    else if (what < 0.97) this.#replaceDisk(this.#anyNode());
    else if (what < 0.98 && !this.#isDynamic) this.#upgrade();
    else if (what < 0.99) this.#losses = this.#random() * 0.1;
    else this.#mislead();
  }

  #append(): void {
    for (const node of this.#quorum.nodes.values()) {
      if (!node.raft?.isLeader) continue;
      const values = Array.from({ length: this.#pick([1, 1, 2, 3]) }, () =>
        new TextEncoder().encode(`${node.id}:${this.#nextValue++}`),
      );
      node.happened({ type: 'append', values });
    }
  }

  #crash(node: SimulatedNode): void {
    if (!node.isUp) return;
    const keep = Math.floor(this.#random() * 3);
    this.#say(() => `${node.id}: crashes`);
    node.crash(keep);
  }

  /** And is there again at once. */
  #crashSoon(node: SimulatedNode): void {
    const { life } = node;
    this.#quorum.schedule(Math.floor(this.#random() * 3), () => {
      if (node.life !== life || this.#isCalm) return;
      this.#crash(node);
      this.#quorum.schedule(Math.floor(this.#random() * 20), () => {
        if (node.life === life && !node.isUp) node.start();
      });
    });
  }

  #startAgain(): void {
    const down = [...this.#quorum.nodes.values()].filter(({ isUp }) => !isUp);
    if (down.length === 0) return;
    const node = this.#pick(down);
    this.#say(() => `${node.id}: starts again at ${node.disk.endOffset}`);
    node.start();
  }

  #resign(node: SimulatedNode): void {
    if (!node.isUp) return;
    this.#say(() => `${node.id}: is to stop`);
    node.happened({ type: 'resign' });
    const { life } = node;
    this.#quorum.schedule(Math.floor(this.#random() * 500), () => {
      if (node.life !== life || !node.isUp) return;
      node.crash(9);
      if (this.#isCalm) node.start();
    });
  }

  #cut(): void {
    const from = this.#anyNode().id;
    const to = this.#anyNode().id;
    this.#cuts.add(`${from}>${to}`);
    if (this.#random() < 0.7) this.#cuts.add(`${to}>${from}`);
    if (this.#random() < 0.3) for (const { id } of this.#quorum.nodes.values()) this.#cuts.add(`${from}>${id}`);
  }

  #heal(): void {
    this.#cuts.clear();
  }

  #snapshot(node: SimulatedNode): void {
    const { disk, raft, highWatermark } = node;
    if (!raft || highWatermark <= (disk.snapshots.at(-1)?.id.endOffset ?? 0)) return;
    const id = { endOffset: highWatermark, epoch: disk.epochAt(highWatermark - 1) };
    const { voters, kRaftVersion } = raft.quorumBefore(highWatermark);
    disk.addSnapshot(id, { voters, kRaftVersion, state: disk.chainAt(highWatermark)! });
    if (this.#random() < 0.7) disk.clean();
    this.#say(() => `${node.id}: snapshot ${id.endOffset}-${id.epoch}, log from ${disk.startOffset} to ${disk.endOffset}`);
    node.happened({ type: 'snapshots', snapshots: disk.snapshots.map((each) => each.id), logStartOffset: disk.startOffset });
  }

  #changeVoters(): void {
    const leader = this.#quorum.leader;
    if (!leader) return;
    const node = this.#quorum.node(this.#pick(this.#controllers));
    const key = { voterId: node.id, voterDirectoryId: node.self.directoryId };
    const hear = (what: string) => (response: object) => this.#say(() => `${what} ${node.id}: ${JSON.stringify(response)}`);
    if (leader.raft!.voters.get(node.id)) {
      const voter = leader.raft!.voters.get(node.id)!;
      this.#quorum.ask(leader, 'removeRaftVoter', { voterId: node.id, voterDirectoryId: voter.directoryId }, hear('remove'));
    } else {
      const listeners = node.self.endpoints.map((endpoint) => ({ ...endpoint }));
      const ackWhenCommitted = this.#random() < 0.5;
      this.#quorum.ask(leader, 'addRaftVoter', { timeoutMs: 1000, ...key, listeners, ackWhenCommitted }, hear('add'));
    }
  }

  /** The disk of a controller is lost: it comes back empty, as another one. */
  #replaceDisk(node: SimulatedNode): void {
    if (!this.#isDynamic || this.#replaced > 0 || node.settings.canVote === false) return;
    const { leader } = this.#quorum;
    if (!leader || leader.raft!.voters.size < 3) return;
    this.#replaced++;
    this.#say(() => `${node.id}: its disk is replaced`);
    if (node.isUp) node.crash(0);
    const again = this.#quorum.replaceDisk(node, directoryIdOf(node.id, this.#replaced));
    again.start();
  }

  /** To another node, or to nobody. */
  #mislead(): void {
    const { leader } = this.#quorum;
    const node = this.#anyNode();
    if (!leader || node === leader) return;
    const host = `n${this.#pick([99, ...this.#quorum.nodes.keys()])}`;
    this.#say(() => `${node.id}: is told that ${leader.id} is at ${host}`);
    this.#quorum.mislead(leader, node, { host, port: 9093 });
  }

  #upgrade(): void {
    const leader = this.#quorum.leader;
    if (!leader) return;
    try {
      leader.happened({ type: 'upgradeKRaftVersion', kRaftVersion: 1, validateOnly: false });
      this.#say(() => `${leader.id}: upgrades kraft.version`);
    } catch (error) {
      if ((error as Error).name !== 'INVALID_UPDATE_VERSION') throw error;
    }
  }

  #calm(): void {
    this.#isCalm = true;
    this.#heal();
    this.#say(() => 'calm');
    for (const node of this.#quorum.nodes.values()) {
      if (node.isUp && this.#random() < 0.3) node.crash(9);
      if (!node.isUp) node.start();
    }
  }

  /** In a calm, a quorum whose majority is there has a leader, and all have what it has. */
  #requireLife(): void {
    const { leader } = this.#quorum;
    const states = [...this.#quorum.nodes.values()].map(
      ({ id, raft, disk }) =>
        `${JSON.stringify(disk.epochs)} ${disk.startOffset} ${JSON.stringify(disk.snapshots.map((s) => s.id))} ${id} ${raft?.state} ${JSON.stringify(raft?.leaderAndEpoch)} ends at ${raft?.logEndOffset}, committed ${raft?.highWatermark}, voters ${raft?.voters.ids}`,
    );
    const dump = (): string => `\n${states.join('\n')}`;
    if (!this.#hasMajority()) return;
    if (!leader) throw new Error(`a broken promise: nobody leads in a calm${dump()}`);
    const { logEndOffset, highWatermark } = leader.raft!;
    if (highWatermark !== logEndOffset) throw new Error(`a broken promise: ${leader.id} cannot commit in a calm${dump()}`);
    for (const { raft, id } of this.#quorum.nodes.values())
      if (raft?.highWatermark !== highWatermark) throw new Error(`a broken promise: node ${id} is behind in a calm${dump()}`);
  }

  /** After the loss of a disk there may be none. */
  #hasMajority(): boolean {
    const nodes = [...this.#quorum.nodes.values()];
    const [longest] = nodes.sort((a, b) => b.disk.lastEpoch - a.disk.lastEpoch || b.disk.endOffset - a.disk.endOffset);
    const voters = longest!.disk.readQuorum().voters;
    return nodes.filter(({ self }) => voters.has(self)).length >= voters.majority;
  }

  #transit(from: number, to: number): number[] {
    if (this.#isCalm) return [1 + Math.floor(this.#random() * 5)];
    if (this.#cuts.has(`${from}>${to}`) || this.#random() < this.#losses) return [];
    const delay = (): number => (this.#random() < 0.03 ? Math.floor(this.#random() * 3000) : 1 + Math.floor(this.#random() * 10));
    return this.#random() < 0.03 ? [delay(), delay()] : [delay()];
  }

  #syncMs(): number {
    if (this.#isCalm) return 1;
    return this.#random() < 0.03 ? Math.floor(this.#random() * 1000) : 1 + Math.floor(this.#random() * 10);
  }

  #anyNode(): SimulatedNode {
    return this.#pick([...this.#quorum.nodes.values()]);
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)]!;
  }

  #say(line: () => string): void {
    this.#log?.(`${this.#quorum.nowMs} ${line()}`);
  }
}
