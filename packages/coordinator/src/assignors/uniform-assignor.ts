/** Everybody gets as many partitions as everybody else, and keeps what it has where that allows it. The default. */
import { balanceTopicByTopic } from './balance-topic-by-topic.ts';
import { fillQuotas } from './fill-quotas.ts';
import { type Assignment, type GroupAssignor, haveEqualSubscriptions } from './group-assignor.ts';

export const uniformAssignor: GroupAssignor = {
  name: 'uniform',
  assign(members, partitionCounts): Map<string, Assignment> {
    if (members.length === 0) return new Map();
    return haveEqualSubscriptions(members, partitionCounts)
      ? fillQuotas(members, partitionCounts)
      : balanceTopicByTopic(members, partitionCounts);
  },
};
