/** Who leads which partition, by the metadata and by the replicas themselves. */
import { configResource } from '@ottla/metadata';
import type { Image, Sight } from '../sight.ts';
import { type ClusterPromise, promise } from './cluster-promise.ts';

type Partition = NonNullable<ReturnType<Image['topics']['partition']>>;

/** The newest image of all, when there is a newer one than last time. */
function newest(): (sight: Sight) => { image: Image; offset: number } | undefined {
  let seen = -1;
  return ({ changedNodes }) => {
    let found: { image: Image; offset: number } | undefined;
    for (const { parts } of changedNodes) {
      const offset = parts.metadata.appliedOffset;
      if (offset > seen && offset > (found?.offset ?? -1)) found = { image: parts.metadata.image, offset };
    }
    if (found) seen = found.offset;
    return found;
  };
}

/** Looks at every partition of each newer image. */
function eachPartition(check: (name: string, partition: Partition, image: Image, key: string) => void): (sight: Sight) => void {
  const next = newest();
  return (sight) => {
    const found = next(sight);
    if (!found) return;
    for (const topic of found.image.topics) {
      for (const [index, partition] of topic.partitions()) {
        check(`${topic.name}-${index}`, partition, found.image, `${topic.id} ${index}`);
      }
    }
  };
}

export const leadership: readonly ClusterPromise[] = [
  promise('singleLeaderPerEpoch', 'in one epoch of a partition no two brokers lead it', (broken) => {
    const leaders = new Map<string, number>();
    return {
      look({ changed }) {
        for (const { node, replica, key } of changed) {
          if (!replica.isLeader) continue;
          const epoch = `${key} ${replica.leaderEpoch}`;
          const known = leaders.get(epoch);
          if (known === undefined) leaders.set(epoch, node.id);
          else if (known !== node.id) {
            broken(`${replica.name} is led by node ${node.id} in epoch ${replica.leaderEpoch}, in which node ${known} led it`);
          }
        }
      },
    };
  }),

  promise('leaderEpochsAscend', 'a replica never goes back to an earlier leader epoch', (broken) => {
    const epochs = new Map<string, number>();
    return {
      look({ changed }) {
        for (const { node, replica, life } of changed) {
          const before = epochs.get(life) ?? -1;
          if (replica.leaderEpoch < before) {
            broken(`${replica.name} on node ${node.id} went from leader epoch ${before} to ${replica.leaderEpoch}`);
          }
          epochs.set(life, replica.leaderEpoch);
        }
      },
    };
  }),

  promise(
    'partitionEpochsAscend',
    'the epochs of a partition in the metadata never go back, and change with what they are epochs of',
    (broken) => {
      const known = new Map<string, Partition>();
      return {
        look: eachPartition((name, partition, _image, key) => {
          const before = known.get(key);
          known.set(key, partition);
          if (!before) return;
          if (partition.leaderEpoch < before.leaderEpoch || partition.partitionEpoch < before.partitionEpoch) {
            broken(`${name} went from epochs ${epochs(before)} to ${epochs(partition)}`);
          }
          if (partition.leader !== before.leader && partition.leaderEpoch === before.leaderEpoch) {
            broken(
              `${name} went from leader ${before.leader} to ${partition.leader} within leader epoch ${partition.leaderEpoch}`,
            );
          }
          if (partition.isr.join() !== before.isr.join() && partition.partitionEpoch === before.partitionEpoch) {
            broken(`${name} went from isr ${before.isr} to ${partition.isr} within partition epoch ${partition.partitionEpoch}`);
          }
        }),
      };
    },
  ),

  promise('leadersAreInSync', 'a partition is led by a member of its isr', (broken) => ({
    look: eachPartition((name, { leader, isr }) => {
      if (leader >= 0 && !isr.includes(leader)) broken(`${name} is led by ${leader}, and its isr is ${isr}`);
    }),
  })),

  promise('isrIsOfReplicas', 'isr and elr are different brokers, and those of the isr replicas of the partition', (broken) => ({
    look: eachPartition((name, { replicas, isr, elr }) => {
      const all = [...isr, ...elr];
      if (new Set(all).size !== all.length) broken(`${name} has isr ${isr} and elr ${elr}`);
      // The elr keeps whom a reassignment gave up when it ended below min.insync.replicas, as with Kafka; only replicas are elected.
      const foreign = isr.find((id) => !replicas.includes(id));
      if (foreign !== undefined) broken(`${name} has ${foreign} in isr ${isr}, and replicas ${replicas}`);
    }),
  })),

  promise(
    'eligibleOnlyBelowMinimum',
    'replicas are eligible besides the isr only while the isr is smaller than min.insync.replicas',
    (broken) => ({
      look: eachPartition((name, { isr, elr }, image) => {
        const minimum = minIsrOf(image, name);
        if (minimum !== undefined && elr.length > 0 && isr.length >= minimum) {
          broken(`${name} has elr ${elr} although its isr ${isr} has ${minimum} members`);
        }
      }),
    }),
  ),

  promise('fencedBrokersLeadNothing', 'a broker that is fenced, or leaves, leads nothing', (broken) => ({
    look: eachPartition((name, { leader }, { brokers }) => {
      if (leader < 0) return;
      const broker = brokers.get(leader);
      if (!broker) broken(`${name} is led by ${leader}, which is not registered`);
      else if (broker.fenced) broken(`${name} is led by ${leader}, which is fenced`);
    }),
  })),

  promise('fencedBrokersAreNotInSync', 'a fenced broker is in no isr, unless it is the last one there', (broken) => ({
    look: eachPartition((name, { isr }, { brokers }) => {
      if (isr.length < 2) return;
      const fenced = isr.find((id) => brokers.get(id)?.fenced !== false);
      if (fenced !== undefined) broken(`${name} has ${fenced} in its isr ${isr}, which is fenced`);
    }),
  })),

  promise('reassignmentsAreOfReplicas', 'replicas that are added or removed are replicas', (broken) => ({
    look: eachPartition((name, { replicas, addingReplicas, removingReplicas }) => {
      const foreign = [...addingReplicas, ...removingReplicas].find((id) => !replicas.includes(id));
      if (foreign !== undefined) broken(`${name} adds ${addingReplicas} and removes ${removingReplicas}, and has ${replicas}`);
      if (new Set(replicas).size !== replicas.length || replicas.length === 0) broken(`${name} has replicas ${replicas}`);
    }),
  })),

  promise(
    'replicasKnowWhatTheMetadataSays',
    'when the cluster rests, who leads by the metadata leads, and nobody else',
    (broken) => ({
      judge({ nodes, replicas }) {
        const image = nodes.toSorted((one, other) => other.parts.metadata.appliedOffset - one.parts.metadata.appliedOffset)[0]
          ?.parts.metadata.image;
        if (!image) return;
        for (const { node, replica } of replicas) {
          const told = image.topics.byId(replica.topicId as never)?.partition(replica.index);
          if (!told) broken(`node ${node.id} has ${replica.name}, of which the metadata knows nothing`);
          else if (!told.replicas.includes(node.id)) {
            broken(`node ${node.id} has ${replica.name}, whose replicas are ${told.replicas}`);
          } else if (replica.isLeader !== (told.leader === node.id)) {
            const does = replica.isLeader ? 'leads' : 'does not lead';
            broken(`node ${node.id} ${does} ${replica.name}, and its leader is ${told.leader}`);
          }
        }
        for (const topic of image.topics) {
          for (const [index, { replicas: assigned }] of topic.partitions()) {
            for (const id of assigned) {
              const isThere = replicas.some(
                ({ node, replica }) => node.id === id && replica.topicId === topic.id && replica.index === index,
              );
              if (!isThere) broken(`node ${id} has no replica of ${topic.name}-${index}`);
            }
          }
        }
      },
    }),
  ),
];

function epochs({ leaderEpoch, partitionEpoch }: Partition): string {
  return `${leaderEpoch}/${partitionEpoch}`;
}

/** Undefined where the topic says nothing itself. */
function minIsrOf(image: Image, partition: string): number | undefined {
  const topic = partition.slice(0, partition.lastIndexOf('-'));
  const configured = image.configs.of(configResource.topic, topic).get('min.insync.replicas');
  return configured === undefined ? undefined : Number(configured);
}
