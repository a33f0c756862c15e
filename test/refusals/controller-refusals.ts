/** What brokers ask the active controller, as brokers that were registered anew since, or will be. */
import { AllocateProducerIds, AlterPartition, AssignReplicasToDirs, BrokerHeartbeat, BrokerRegistration } from '@ottla/protocol';
import type { AskedNodes } from './asked-nodes.ts';
import { metadataRecords, recordsOf } from './metadata-log.ts';
import { quorumOf } from './quorum-refusals.ts';
import { clusterRow, epochRow, type Row, type Subject } from './refusal.ts';
import { movedTopic } from './topic.ts';

const someIncarnation = 'f3qa2q0ZQ5mZy1tJcKn0_A';

export async function controllerRefusals(nodes: AskedNodes): Promise<Subject> {
  const { topicId, leaderId: brokerId, leaderEpoch, isr } = await movedTopic(nodes, 'refused-by-controller');
  const quorum = await quorumOf(nodes);
  const controller = { id: quorum.leaderId, listener: 'controller' } as const;
  const log = await metadataRecords(nodes, quorum);
  const registrationOf = (id: number) =>
    recordsOf(log, 'RegisterBrokerRecord').findLast(({ value }) => value.brokerId === id)!.value;
  const registration = registrationOf(brokerId);
  const { brokerEpoch } = registration;
  const isOfPartition = (value: { topicId: string; partitionId: number }) => value.topicId === topicId && value.partitionId === 0;
  const changes = recordsOf(log, 'PartitionChangeRecord').filter(({ value }) => isOfPartition(value));
  const partitionEpoch = changes.length;

  const beat = (epoch: number) =>
    nodes.ask(controller, BrokerHeartbeat, 1, {
      ...{ brokerId, brokerEpoch: epoch, currentMetadataOffset: 1_000_000_000, wantFence: false, wantShutDown: false },
    });
  const alter = (around: object, partition: object = {}, epochOfLast = registrationOf(isr.at(-1)!).brokerEpoch) => {
    const newIsrWithEpochs = isr.map((id) => ({ brokerId: id, brokerEpoch: registrationOf(id).brokerEpoch }));
    newIsrWithEpochs.at(-1)!.brokerEpoch = epochOfLast;
    const asked = { partitionIndex: 0, leaderEpoch, partitionEpoch, leaderRecoveryState: 0, newIsrWithEpochs, ...partition };
    return nodes.ask(controller, AlterPartition, 3, {
      brokerId,
      brokerEpoch,
      ...around,
      topics: [{ topicId, partitions: [asked] }],
    });
  };
  const assign = (epoch: number) => {
    const directories = [{ id: registration.logDirs[0]!, topics: [{ topicId, partitions: [{ partitionIndex: 0 }] }] }];
    return nodes.ask(controller, AssignReplicasToDirs, 0, { brokerId, brokerEpoch: epoch, directories });
  };
  const register = (what: object) => {
    const features = registration.features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
      name,
      minSupportedVersion,
      maxSupportedVersion,
    }));
    return nodes.ask(controller, BrokerRegistration, 4, {
      ...{
        brokerId,
        clusterId: quorum.clusterId,
        incarnationId: registration.incarnationId,
        features,
        rack: null,
        isMigratingZkBroker: false,
      },
      ...{ listeners: registration.endPoints, logDirs: registration.logDirs, previousBrokerEpoch: -1, ...what },
    });
  };

  // What is true can be said once: with each isr that a leader says, the partition has another epoch.
  const rows: Row[] = [
    epochRow({
      ...{ api: BrokerHeartbeat, field: 'brokerEpoch', truth: brokerEpoch, ask: beat },
      ...{ older: 'STALE_BROKER_EPOCH', newer: 'STALE_BROKER_EPOCH' },
    }),
    epochRow({
      ...{ api: AlterPartition, field: 'brokerEpoch', truth: brokerEpoch, ask: (epoch) => alter({ brokerEpoch: epoch }) },
      ...{ older: 'STALE_BROKER_EPOCH', newer: 'STALE_BROKER_EPOCH' },
    }),
    // A leader that knows more than the controller: the controller is the one that is old.
    epochRow({
      ...{ api: AlterPartition, field: 'topics.partitions.leaderEpoch', truth: leaderEpoch, isAccepted: false },
      ...{ older: 'FENCED_LEADER_EPOCH', newer: 'NOT_CONTROLLER', ask: (epoch) => alter({}, { leaderEpoch: epoch }) },
    }),
    epochRow({
      ...{ api: AlterPartition, field: 'topics.partitions.partitionEpoch', truth: partitionEpoch, isAccepted: false },
      ...{ older: 'INVALID_UPDATE_VERSION', newer: 'NOT_CONTROLLER', ask: (epoch) => alter({}, { partitionEpoch: epoch }) },
    }),
    epochRow({
      ...{
        api: AlterPartition,
        field: 'topics.partitions.newIsrWithEpochs.brokerEpoch',
        isAccepted: false,
        truth: registrationOf(isr.at(-1)!).brokerEpoch,
      },
      ...{ older: 'INELIGIBLE_REPLICA', newer: 'INELIGIBLE_REPLICA', ask: (epoch) => alter({}, {}, epoch) },
    }),
    epochRow({
      ...{ api: AssignReplicasToDirs, field: 'brokerEpoch', truth: brokerEpoch, ask: assign },
      ...{ older: 'STALE_BROKER_EPOCH', newer: 'STALE_BROKER_EPOCH' },
    }),
    epochRow({
      ...{ api: AllocateProducerIds, field: 'brokerEpoch', truth: brokerEpoch },
      ...{ older: 'STALE_BROKER_EPOCH', newer: 'STALE_BROKER_EPOCH' },
      ask: (epoch) => nodes.ask(controller, AllocateProducerIds, 0, { brokerId, brokerEpoch: epoch }),
    }),
    clusterRow(BrokerRegistration, '', (cluster) => register({ clusterId: cluster })),
    {
      ...{ field: 'BrokerRegistration.incarnationId', note: 'while the broker is alive' },
      wrong: [
        { what: 'another', expected: 'DUPLICATE_BROKER_REGISTRATION', ask: () => register({ incarnationId: someIncarnation }) },
      ],
    },
  ];
  return {
    rows,
    async picture() {
      return (await metadataRecords(nodes, quorum)).filter(({ type }) => type !== 'NoOpRecord').slice(log.length - 20);
    },
  };
}
