export const DEFAULT_PORT = 9092;
export const DEFAULT_DATA = 'ottla-data';

/** Where a node is without a --config file. */
export const developmentPlace = {
  listeners: `PLAINTEXT://127.0.0.1:${DEFAULT_PORT},CONTROLLER://127.0.0.1:0`,
  'controller.listener.names': 'CONTROLLER',
  'log.dirs': DEFAULT_DATA,
};

/** What nodes are without a --config file: on this machine alone, without security, and as quick as a developer wants them. */
export function developmentDefaults(nodes: number): Record<string, string> {
  // The topics of the coordinators would otherwise wait for brokers that never come.
  const replicas = String(Math.min(nodes, 3));
  const minIsr = String(Math.min(nodes, 2));
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://127.0.0.1:${DEFAULT_PORT},CONTROLLER://127.0.0.1:0`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': DEFAULT_DATA,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minIsr,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': minIsr,
    // Whoever starts several nodes wants to see records survive one of them.
    ...(nodes < 3 ? {} : { 'default.replication.factor': replicas, 'min.insync.replicas': minIsr }),
    // A lone developer's consumer should not wait three seconds for others to join.
    'group.initial.rebalance.delay.ms': '0',
    'group.streams.initial.rebalance.delay.ms': '0',
  };
}
