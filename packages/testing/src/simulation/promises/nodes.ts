/** That nodes do not fail by themselves, and that the cluster comes back when nothing keeps it from that. */
import { isProgramError, tellLine } from '../node-log.ts';
import { isBroker } from '../plan.ts';
import { type ClusterPromise, promise } from './cluster-promise.ts';

export const nodes: readonly ClusterPromise[] = [
  promise('noHandlerThrew', 'no node meets an error of its own program', (broken) => ({
    readLine(node, line) {
      const error = line.fields['error'];
      if (isProgramError(error)) broken(`node ${node.id}: ${tellLine(line)}\n${error.stack}`);
    },
  })),

  promise('nodesComeBack', 'when everything is mended all nodes serve', (broken) => ({
    judge({ cluster }) {
      for (const { id, state } of cluster.nodes) if (state !== 'up') broken(`node ${id} is ${state}`);
    },
  })),

  promise('brokersAreUnfenced', 'when everything is mended every broker is registered and unfenced, to all nodes', (broken) => ({
    judge({ cluster, nodes }) {
      for (const { node, parts } of nodes) {
        for (const { id, plan } of cluster.nodes) {
          if (!isBroker(plan)) continue;
          const registration = parts.metadata.image.brokers.get(id);
          if (registration?.fenced !== false) broken(`to node ${node.id} broker ${id} is ${registration ? 'fenced' : 'unknown'}`);
        }
      }
    },
  })),

  promise(
    'partitionsHeal',
    'when everything is mended every partition has a leader, and all its replicas in the isr',
    (broken) => ({
      judge({ nodes }) {
        for (const { node, parts } of nodes) {
          for (const topic of parts.metadata.image.topics) {
            for (const [index, { leader, isr, replicas, elr }] of topic.partitions()) {
              if (leader >= 0 && isr.length === replicas.length) continue;
              broken(
                `to node ${node.id} ${topic.name}-${index} has leader ${leader}, isr ${isr}, elr ${elr}, replicas ${replicas}`,
              );
            }
          }
        }
      },
    }),
  ),
];
