import { type FetchResponse, ZERO_UUID } from '@ottla/protocol';
import { VoterSet } from '../voter-set.ts';
import { requestInWords, responseInWords } from './message-in-words.ts';
import { QuorumPromises } from './quorum-promises.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { directoryIdOf, SimulatedQuorum, simulatedVoter } from './simulated-quorum.ts';

/**
 * Runs the commands of a story, the lines that begin with `> `, and returns it with what happens written below each. Lines with `#` are kept.
 *
 *   quorum 1 2 3 [static]     controllers that vote from the start     controller 4 [auto-join]   one that does not
 *   broker 9                  an observer                              older 3                    it knows no pre-vote
 *   start / crash / stop N…   crash: a power cut; stop: orderly        run MS                     time passes
 *   append A B                the leader's owner appends               snapshot N                 and cuts the log before it
 *   slow-disk N MS            what it writes is synced so much later   cut A B [one-way], heal    between A and B, everything
 *   add / remove N            somebody asks the leader to              replace N                  its disk is new and empty
 *   move N PORT               it listens elsewhere from its next start upgrade                    kraft.version 1
 *   mislead N to M            somebody tells N that its leader is where M is, or nobody
 *   show                      every node in a line
 *
 * A message takes 1 ms, a sync 1 ms; node N adds N tenths of the election timeout to it.
 */
export function tellStory(text: string): string {
  const teller = new Teller();
  const told: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line === '') told.push(line);
    if (!line.startsWith('> ')) continue;
    told.push(line);
    told.push(...teller.tell(line.slice(2).trim()));
  }
  return `${told.join('\n').trimEnd()}\n`.replaceAll(/\n{3,}/g, '\n\n');
}

class Teller {
  readonly #lines: string[] = [];
  readonly #cuts = new Set<string>();
  readonly #syncMs = new Map<number, number>();
  readonly #promises = new QuorumPromises();
  readonly #quorum: SimulatedQuorum;
  readonly #known = new Map<SimulatedNode, { life: number; highWatermark: number; voters: string }>();
  #formatted = { voters: new VoterSet([]), kRaftVersion: 1 };
  readonly #startMs: number;

  constructor() {
    const weather = {
      transit: (from: number, to: number) => (this.#cuts.has(`${from}>${to}`) ? [] : [1]),
      syncMs: (node: number) => this.#syncMs.get(node) ?? 1,
      random: (node: number) => (node % 10) / 10,
    };
    this.#quorum = new SimulatedQuorum(weather, {
      lost: (from, to, api) => {
        if (api !== 'fetch') this.#say(`${from} -x ${to}: ${api} is lost.`);
      },
      requestArrived: (from, to, api, request) => this.#message(from, to, requestInWords(api, request)),
      responseArrived: (from, to, api, response) => {
        if (api !== 'fetch' || this.#isNews(response as FetchResponse, this.#quorum.node(to)))
          this.#message(from, to, responseInWords(api, response));
      },
      stepped: (node, _event, before) => this.#stepped(node, before),
      truncated: (node, endOffset) => this.#say(`${node.id} truncates its log to ${endOffset}.`),
      savedElection: (node, state) => this.#promises.savedElection(node, state),
      carriedOut: (node) => this.#carriedOut(node),
    });
    this.#promises.watch(this.#quorum);
    this.#startMs = this.#quorum.nowMs;
  }

  tell(command: string): string[] {
    this.#lines.length = 0;
    const [verb, ...words] = command.split(/\s+/);
    this.#do(verb!, words);
    return [...this.#lines];
  }

  #do(verb: string, words: readonly string[]): void {
    const ids = words.map(Number).filter(Number.isInteger);
    const nodes = (): SimulatedNode[] => ids.map((id) => this.#quorum.node(id));
    switch (verb) {
      case 'quorum':
        this.#form(ids, words.includes('static'));
        return;
      case 'controller':
        this.#quorum.add(simulatedVoter(ids[0]!), this.#unformatted, { isAutoJoining: words.includes('auto-join') });
        return;
      case 'broker':
        this.#quorum.add(simulatedVoter(ids[0]!), this.#unformatted, { canVote: false });
        return;
      case 'older':
        for (const node of nodes()) node.settings = { ...node.settings, voteVersion: 1 };
        return;
      case 'start':
        for (const node of nodes()) node.start();
        return;
      case 'crash':
        for (const node of nodes()) node.crash(0);
        return;
      case 'stop':
        for (const node of nodes()) node.happened({ type: 'resign' });
        return;
      case 'run':
        this.#quorum.run(ids[0]!);
        return;
      case 'append':
        this.#leader().happened({ type: 'append', values: words.map((word) => new TextEncoder().encode(word)) });
        return;
      case 'snapshot':
        for (const node of nodes()) this.#snapshot(node);
        return;
      case 'slow-disk':
        this.#syncMs.set(ids[0]!, ids[1]!);
        return;
      case 'cut':
        this.#cuts.add(`${ids[0]}>${ids[1]}`);
        if (!words.includes('one-way')) this.#cuts.add(`${ids[1]}>${ids[0]}`);
        return;
      case 'heal':
        this.#cuts.clear();
        return;
      case 'add':
        this.#ask('addRaftVoter', this.#quorum.node(ids[0]!));
        return;
      case 'remove':
        this.#ask('removeRaftVoter', this.#quorum.node(ids[0]!));
        return;
      case 'replace':
        for (const node of nodes()) this.#quorum.replaceDisk(node, directoryIdOf(node.id, 1));
        return;
      case 'move':
        for (const node of [this.#quorum.node(ids[0]!)])
          node.self = { ...node.self, endpoints: node.self.endpoints.map((endpoint) => ({ ...endpoint, port: ids[1]! })) };
        return;
      case 'mislead':
        this.#quorum.mislead(this.#leader(), this.#quorum.node(ids[0]!), { host: `n${ids[1]}`, port: 9093 });
        return;
      case 'upgrade':
        this.#upgrade();
        return;
      case 'show':
        for (const node of this.#quorum.nodes.values()) this.#show(node);
        return;
      default:
        throw new Error(`no story knows ${verb}`);
    }
  }

  get #unformatted(): { voters: VoterSet; kRaftVersion: number } {
    return this.#formatted.kRaftVersion === 0 ? this.#formatted : { voters: new VoterSet([]), kRaftVersion: 1 };
  }

  #form(ids: readonly number[], isStatic: boolean): void {
    const voters = ids.map((id) => simulatedVoter(id, isStatic ? ZERO_UUID : directoryIdOf(id)));
    this.#formatted = { voters: new VoterSet(voters), kRaftVersion: isStatic ? 0 : 1 };
    for (const id of ids) this.#quorum.add(simulatedVoter(id), this.#formatted);
    this.#quorum.bootstrapIds = ids;
  }

  #leader(): SimulatedNode {
    const { leader } = this.#quorum;
    if (!leader) throw new Error('nobody leads');
    return leader;
  }

  #snapshot(node: SimulatedNode): void {
    const { disk, highWatermark, raft } = node;
    const id = { endOffset: highWatermark, epoch: disk.epochAt(highWatermark - 1) };
    disk.addSnapshot(id, { ...raft!.quorumBefore(highWatermark), state: disk.chainAt(highWatermark)! });
    disk.clean();
    node.happened({ type: 'snapshots', snapshots: [id], logStartOffset: disk.startOffset });
  }

  #ask(api: 'addRaftVoter' | 'removeRaftVoter', node: SimulatedNode): void {
    const leader = this.#leader();
    const { id, directoryId, endpoints } = node.self;
    const voterDirectoryId = api === 'addRaftVoter' ? directoryId : (leader.raft!.voters.get(id)?.directoryId ?? directoryId);
    const listeners = endpoints.map((endpoint) => ({ ...endpoint }));
    const request = { voterId: id, voterDirectoryId, ...(api === 'addRaftVoter' ? { listeners, timeoutMs: 2000 } : {}) };
    this.#quorum.ask(leader, api, request, (response) =>
      this.#say(`${leader.id} -> the asker: ${responseInWords(api, response)}`),
    );
  }

  /** Who misses its leader asks around all the time, and is mostly told of the one that it knows. */
  #isNews({ responses }: FetchResponse, { raft }: SimulatedNode): boolean {
    const { errorCode, currentLeader } = responses[0]!.partitions[0]!;
    const { leaderId, leaderEpoch } = raft!.leaderAndEpoch;
    return errorCode === 0 || currentLeader.leaderId !== leaderId || currentLeader.leaderEpoch !== leaderEpoch;
  }

  #upgrade(): void {
    try {
      this.#leader().happened({ type: 'upgradeKRaftVersion', kRaftVersion: 1, validateOnly: false });
    } catch (error) {
      this.#say(`refused: ${(error as Error).message}`);
    }
  }

  #show({ id, isUp, raft }: SimulatedNode): void {
    if (!isUp || !raft) {
      this.#lines.push(`  ${id} is down.`);
      return;
    }
    const { leaderId, leaderEpoch } = raft.leaderAndEpoch;
    const leader = leaderId === null ? 'no leader' : `leader ${leaderId}`;
    const log = `log ends at ${raft.logEndOffset}, committed up to ${raft.highWatermark}`;
    this.#lines.push(
      `  ${id}: ${raft.state}, epoch ${leaderEpoch}, ${leader}, ${log}, voters ${raft.voters.ids.join(' ') || 'unknown'}`,
    );
  }

  #stepped(node: SimulatedNode, before: string): void {
    const { state, leaderAndEpoch } = node.raft!;
    if (state === before) return;
    const { leaderId, leaderEpoch } = leaderAndEpoch;
    const whom = state === 'follower' ? ` of ${leaderId}` : '';
    this.#say(`${node.id} is ${state}${whom} in epoch ${leaderEpoch}.`);
  }

  #carriedOut(node: SimulatedNode): void {
    this.#promises.carriedOut(node);
    const voters = node.raft!.voters.ids.join(' ');
    let known = this.#known.get(node);
    if (known?.life !== node.life) known = undefined;
    if (known && known.voters !== voters) this.#say(`${node.id} knows the voters ${voters}.`);
    if (node.highWatermark >= 0 && (known?.highWatermark ?? -1) !== node.highWatermark)
      this.#say(`${node.id} has all up to ${node.highWatermark} committed.`);
    this.#known.set(node, { life: node.life, highWatermark: node.highWatermark, voters });
  }

  #message(from: number, to: number, words: string | undefined): void {
    if (words !== undefined) this.#say(`${from} -> ${to}: ${words}`);
  }

  #say(words: string): void {
    this.#lines.push(`  ${String(this.#quorum.nowMs - this.#startMs).padStart(5)} ${words}`);
  }
}
