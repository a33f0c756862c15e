/** Carries out what a plan says happens to the machines, and undoes it when its time is over. */
import { batchesOf } from '@ottla/protocol';
import { type Happening, hostOf, isBroker } from './plan.ts';
import type { SimulatedCluster, SimulatedNode } from './simulated-cluster.ts';

export class Faults {
  readonly #cluster: SimulatedCluster;
  readonly #onNews: (text: string) => void;
  readonly #clients: readonly string[];
  /** Lost records that were not on disk, or had some spoiled, and is not known to have them again. */
  #damaged: SimulatedNode | undefined;
  #isOver = false;

  constructor(cluster: SimulatedCluster, clients: readonly string[], onNews: (text: string) => void) {
    this.#cluster = cluster;
    this.#clients = clients;
    this.#onNews = onNews;
  }

  /** Says what became of it; undefined when it is none of this. */
  begin(happening: Happening): string | undefined {
    const { world } = this.#cluster;
    const { wires } = world;
    switch (happening.do) {
      case 'kill':
        return this.#sparing(happening.node, () => this.#down(happening.node, happening.downMs, (node) => node.kill()));
      case 'killAll':
        return this.#sparing(undefined, () => this.#downAll(this.#cluster.nodes, happening.downMs, (node) => node.kill()));
      case 'blackout': {
        const controllers = this.#cluster.nodes.filter(({ plan }) => !isBroker(plan));
        return this.#downAll(controllers, happening.downMs, (node) => node.crash());
      }
      case 'powerCut':
        return this.#damage(happening.node, () => this.#down(happening.node, happening.downMs, (node) => node.crash()));
      case 'crashVoter': {
        const { afterMs, downMs } = happening;
        const node = this.#cluster.node(happening.node);
        node.onElectionState = () => {
          node.onElectionState = undefined;
          this.#later(afterMs, () => {
            const news = this.#damage(node.id, () => this.#down(node.id, downMs, () => node.crash()));
            this.#onNews(`voter ${node.id} loses power: ${news}`);
          });
        };
        return 'waits for a vote';
      }
      case 'flipBit':
        return this.#damage(happening.node, () =>
          this.#down(happening.node, 500, (node) => {
            node.kill();
            this.#flipBit(node, happening.pick);
          }),
        );
      case 'restart':
        void this.#restart(this.#cluster.node(happening.node), happening.downMs);
        return 'is told to stop';
      case 'rollingRestart':
        void this.#rollingRestart(happening.downMs);
        return 'begins';
      case 'pause': {
        const { machine } = this.#cluster.node(happening.node);
        machine.pause();
        this.#later(happening.forMs, () => machine.resume());
        return 'stands still';
      }
      case 'cut': {
        const { from, to, oneWay } = happening;
        wires.cut(from, to, { oneWay });
        this.#later(happening.forMs, () => wires.heal(from, to));
        return 'is cut';
      }
      case 'isolate': {
        const host = hostOf(happening.node);
        const others = this.#cluster.nodes.map((node) => node.host).filter((other) => other !== host);
        if (happening.from === 'all') others.push(...this.#clients);
        for (const other of others) wires.cut(host, other);
        this.#later(happening.forMs, () => {
          for (const other of others) wires.heal(host, other);
        });
        return 'is alone';
      }
      case 'loss': {
        const { from, to, rate } = happening;
        wires.trouble(from, to, { lossRate: rate });
        this.#later(happening.forMs, () => wires.heal(from, to));
        return 'loses packets';
      }
      case 'latency': {
        const { from, to, ms, oneWay = false } = happening;
        wires.trouble(from, to, { minLatencyMs: ms / 2, maxLatencyMs: ms }, { oneWay });
        this.#later(happening.forMs, () => wires.heal(from, to));
        return 'is slow';
      }
      case 'resetConnections':
        world.dropConnections(happening.one, happening.other);
        return 'are reset';
      case 'halfOpen':
        world.loseEnds(happening.lost, happening.kept);
        return 'is lost';
      case 'jumpClock':
        this.#cluster.node(happening.node).machine.clock.jump(happening.ms);
        return 'jumps';
      case 'driftClock': {
        const { clock } = this.#cluster.node(happening.node).machine;
        clock.runAt(happening.rate);
        this.#later(happening.forMs, () => clock.runAt(1));
        return 'runs wrong';
      }
      case 'slowDisk': {
        const { disk } = this.#cluster.node(happening.node).machine;
        const { syncMs } = happening;
        disk.syncMs = () => syncMs;
        this.#later(happening.forMs, () => disk.mend());
        return 'is slow';
      }
      case 'failDisk':
        return this.#failDisk(this.#cluster.node(happening.node), happening.what, happening.forMs);
      case 'fullDisk':
        // Whose process ends, as if it had been killed.
        return this.#sparing(happening.node, () => {
          const { disk, files } = this.#cluster.node(happening.node).machine;
          const { totalBytes, usableBytes } = files.space('/');
          disk.capacityBytes = totalBytes - usableBytes;
          this.#later(happening.forMs, () => disk.mend());
          return 'is full';
        });
      default:
        return undefined;
    }
  }

  /** Everything works again, and who is down starts. */
  mendAll(): void {
    this.#isOver = true;
    this.#cluster.world.wires.heal();
    for (const node of this.#cluster.nodes) {
      node.onElectionState = undefined;
      node.machine.disk.mend();
      node.machine.clock.runAt(1);
      node.machine.resume();
      node.start();
    }
  }

  #later(ms: number, action: () => void): void {
    this.#cluster.world.time.after(ms, () => {
      if (!this.#isOver) action();
    });
  }

  /**
   * To the controller whoever was killed has lost something. While another one has, it might take that one for who has the most: once isr
   * and elr are empty, it elects whoever led last (KIP-966). Undefined: all are killed.
   */
  #sparing(id: number | undefined, action: () => string): string {
    const damaged = this.#damaged;
    if (damaged && damaged.id !== id && !this.#isWhole(damaged)) return `is spared: node ${damaged.id} has not caught up yet`;
    return action();
  }

  #down(id: number, downMs: number, end: (node: SimulatedNode) => void): string {
    const node = this.#cluster.node(id);
    if (node.state === 'down') return 'is down already';
    end(node);
    node.startIn(downMs);
    return 'is down';
  }

  #downAll(nodes: readonly SimulatedNode[], downMs: number, end: (node: SimulatedNode) => void): string {
    for (const node of nodes) this.#down(node.id, downMs, end);
    return `${nodes.length} nodes are down`;
  }

  /**
   * Kafka writes records to the memory of several machines and lets their systems take them to disk, so it promises nothing when
   * more than one loses what it had in memory before the others have it again.
   */
  #damage(id: number, action: () => string): string {
    const node = this.#cluster.node(id);
    // What a quorum has committed is on the disks of a majority.
    if (!isBroker(node.plan)) return action();
    if (this.#cluster.nodes.length === 1) return 'is spared: there is no other replica';
    const other = this.#cluster.nodes.find((each) => each !== node && isBroker(each.plan) && !this.#isWhole(each));
    if (other) return `is spared: node ${other.id} has not caught up yet`;
    this.#damaged = node;
    return action();
  }

  /** In the isr of all partitions that it has a replica of, to those who know most, and able to stay there. */
  #isWhole(node: SimulatedNode): boolean {
    // With a full disk, or one that fails, it ends before long.
    if (node.state !== 'up' || !node.machine.disk.isSound) return false;
    const views = this.#cluster.nodes.flatMap(({ parts }) => (parts ? [parts.metadata] : []));
    const newest = views.toSorted((one, other) => other.appliedOffset - one.appliedOffset)[0];
    if (!newest) return false;
    for (const { partition } of newest.image.topics.partitionsWithReplica(node.id)) {
      if (!partition.isr.includes(node.id)) return false;
    }
    return newest.image.brokers.get(node.id)?.fenced === false;
  }

  async #restart(node: SimulatedNode, downMs: number): Promise<void> {
    if (node.state !== 'up') return;
    await node.stop();
    this.#onNews(`node ${node.id} has stopped`);
    if (this.#isOver) node.start();
    else node.startIn(downMs);
  }

  async #rollingRestart(downMs: number): Promise<void> {
    for (const node of this.#cluster.nodes) {
      if (this.#isOver) return;
      await this.#restart(node, downMs);
      await new Promise<void>((resolve) => void this.#cluster.world.time.after(downMs + 1_500, resolve));
    }
  }

  /** What could not be written or flushed is not there after a loss of power, and a node whose disk fails ends: it is started again later. */
  #failDisk(node: SimulatedNode, what: 'sync' | 'write', forMs: number): string {
    return this.#damage(node.id, () => {
      if (node.state !== 'up') return 'is down already';
      const { disk } = node.machine;
      disk.fail('EIO', what === 'sync' ? ['sync', 'syncDirectory'] : ['write']);
      this.#later(forMs, () => {
        disk.mend();
        // A log directory that failed stays offline until somebody starts the node again.
        if (node.state === 'up') {
          node.crash();
          node.startIn(200);
        }
      });
      return `fails to ${what}`;
    });
  }

  /**
   * In a batch of a log of a topic that a start after a crash reads again, where the crc covers it: what comes before it in a batch, its
   * offset and epoch, nobody can vouch for, here as in Kafka.
   */
  #flipBit(node: SimulatedNode, pick: number): void {
    const { files } = node.machine;
    const logs = files
      .list(node.directory)
      .filter((name) => /-\d+$/.test(name) && name !== '__cluster_metadata-0')
      .flatMap((name) => {
        const path = `${node.directory}/${name}`;
        const segments = files.list(path).filter((file) => file.endsWith('.log'));
        return segments.length > 0 ? [`${path}/${segments.at(-1)}`] : [];
      });
    const batches = logs.flatMap((path) =>
      Array.from(batchesOf(files.readFile(path)), ({ start, length }) => ({ path, start, length })),
    );
    const batch = batches[Math.floor(pick * batches.length)];
    if (!batch) return;
    const { path, start, length } = batch;
    const position = start + crcPosition + Math.floor(((pick * 7919) % 1) * (length - crcPosition));
    files.flipBit(path, position, Math.floor(((pick * 104_729) % 1) * 8));
    this.#onNews(`a bit flips in ${path} at ${position} of node ${node.id}`);
  }
}

const crcPosition = 17;
