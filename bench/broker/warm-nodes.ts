import type { TargetName } from '../../test/interop/targets/node.ts';
import { BenchNode, type BenchNodeOptions } from './bench-node.ts';
import { BenchTopic } from './bench-topic.ts';
import { batchesOf16KiB, type ProduceShape, produce } from './produce-shape.ts';

/** One node of each kind that stays up from scenario to scenario, started and warmed when first asked for. */
export class WarmNodes implements AsyncDisposable {
  /** What is measured in this run. */
  readonly targets: readonly TargetName[];
  readonly #options: BenchNodeOptions;
  readonly #nodes = new Map<TargetName, BenchNode>();

  constructor(targets: readonly TargetName[], options: BenchNodeOptions) {
    this.targets = targets;
    this.#options = options;
  }

  async get(target: TargetName): Promise<BenchNode> {
    let node = this.#nodes.get(target);
    if (!node) {
      node = await BenchNode.start(target, this.#options);
      this.#nodes.set(target, node);
      await warm(node);
    }
    return node;
  }

  /** Ends them; who is asked for afterwards starts anew. */
  async [Symbol.asyncDispose](): Promise<void> {
    const nodes = [...this.#nodes.values()];
    this.#nodes.clear();
    for (const node of nodes) await node[Symbol.asyncDispose]();
  }
}

/** Of each shape: a machine that is busy with other things does not keep the run waiting. */
const maxSeconds = 8;

/** A million records in batches and a tenth of that one by one, all read back: what a JVM needs until it has compiled its hot paths. */
async function warm(node: BenchNode): Promise<void> {
  const shapes: ProduceShape[] = [
    { ...batchesOf16KiB, requests: 7000, maxSeconds },
    { ...batchesOf16KiB, partitions: 6, connections: 4, acks: 'all', requests: 3000, maxSeconds },
    { ...batchesOf16KiB, batchBytes: 1, requests: 50_000, maxSeconds },
  ];
  for (const shape of shapes) {
    await using topic = await BenchTopic.create(node, shape.partitions);
    const { recordsAcknowledged } = await produce(node, topic, shape);
    const { topicId, partitions } = topic;
    await node.load('fetch', { topicId, partitions, connections: 1, records: recordsAcknowledged, maxSeconds });
  }
}
