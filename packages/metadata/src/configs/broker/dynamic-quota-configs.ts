import { defineConfigs, LONG_MAX, long } from '../define-configs.ts';

/** Limits that exist only as dynamic broker configs: server.properties does not know them. */
export const dynamicQuotaConfigs = defineConfigs({
  'follower.replication.throttled.rate': long({
    default: LONG_MAX,
    min: 0,
    dynamic: 'cluster-wide',
    honoured: true,
    doc: 'Bytes a second that this broker fetches of the replicas in follower.replication.throttled.replicas, unless they are in sync.',
  }),
  'leader.replication.throttled.rate': long({
    default: LONG_MAX,
    min: 0,
    dynamic: 'cluster-wide',
    honoured: true,
    doc: 'Bytes a second that this broker sends to followers of the replicas in leader.replication.throttled.replicas, unless they are in sync.',
  }),
  'replica.alter.log.dirs.io.max.bytes.per.second': long({
    default: LONG_MAX,
    min: 0,
    dynamic: 'cluster-wide',
    honoured: true,
    doc: 'Of all moves between log directories together.',
  }),
});
