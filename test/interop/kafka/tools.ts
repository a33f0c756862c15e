/** Kafka's command-line tools: the class of each, and how it wants to be told where the broker is. */
const tools: {
  readonly [name: string]: readonly [
    mainClass: string,
    address: '--bootstrap-server' | '--bootstrap-controller' | '--broker-list' | 'none',
  ];
} = {
  acls: ['org.apache.kafka.tools.AclCommand', '--bootstrap-server'],
  'broker-api-versions': ['org.apache.kafka.tools.BrokerApiVersionsCommand', '--bootstrap-server'],
  cluster: ['org.apache.kafka.tools.ClusterTool', 'none'],
  configs: ['kafka.admin.ConfigCommand', '--bootstrap-server'],
  'console-consumer': ['org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server'],
  'console-producer': ['org.apache.kafka.tools.ConsoleProducer', '--bootstrap-server'],
  'console-share-consumer': ['org.apache.kafka.tools.consumer.ConsoleShareConsumer', '--bootstrap-server'],
  'consumer-groups': ['org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', '--bootstrap-server'],
  'consumer-perf-test': ['org.apache.kafka.tools.ConsumerPerformance', '--bootstrap-server'],
  'delete-records': ['org.apache.kafka.tools.DeleteRecordsCommand', '--bootstrap-server'],
  'dump-log': ['org.apache.kafka.tools.DumpLogSegments', 'none'],
  features: ['org.apache.kafka.tools.FeatureCommand', '--bootstrap-server'],
  'get-offsets': ['org.apache.kafka.tools.GetOffsetShell', '--bootstrap-server'],
  groups: ['org.apache.kafka.tools.GroupsCommand', '--bootstrap-server'],
  'leader-election': ['org.apache.kafka.tools.LeaderElectionCommand', '--bootstrap-server'],
  'log-dirs': ['org.apache.kafka.tools.LogDirsCommand', '--bootstrap-server'],
  'metadata-quorum': ['org.apache.kafka.tools.MetadataQuorumCommand', '--bootstrap-server'],
  'metadata-shell': ['org.apache.kafka.shell.MetadataShell', 'none'],
  'producer-perf-test': ['org.apache.kafka.tools.ProducerPerformance', 'none'],
  'reassign-partitions': ['org.apache.kafka.tools.reassign.ReassignPartitionsCommand', '--bootstrap-server'],
  'share-groups': ['org.apache.kafka.tools.consumer.group.ShareGroupCommand', '--bootstrap-server'],
  'streams-groups': ['org.apache.kafka.tools.streams.StreamsGroupCommand', '--bootstrap-server'],
  topics: ['org.apache.kafka.tools.TopicCommand', '--bootstrap-server'],
  transactions: ['org.apache.kafka.tools.TransactionsCommand', '--bootstrap-server'],
  'verifiable-consumer': ['org.apache.kafka.tools.VerifiableConsumer', '--bootstrap-server'],
  'verifiable-producer': ['org.apache.kafka.tools.VerifiableProducer', '--bootstrap-server'],
};

/** Tools that otherwise give up after five seconds, which a slow machine may need. */
const patient: readonly string[] = ['consumer-groups', 'share-groups', 'streams-groups'];

/** Tools that do their last work in a shutdown hook of the JVM, and so need one to themselves. */
export const toolsAlone: readonly string[] = ['verifiable-producer'];

/** `<bootstrap>` in an argument becomes the address too, for tools that take it elsewhere. */
export function toolCommand(name: string, words: readonly string[], bootstrap: string): { mainClass: string; args: string[] } {
  const tool = tools[name];
  if (!tool) throw new Error(`no tool ${name}`);
  const [mainClass, address] = tool;
  const args = words.map((word) => word.replaceAll('<bootstrap>', bootstrap));
  const patience = patient.includes(name) ? ['--timeout', '60000'] : [];
  return { mainClass, args: address === 'none' ? args : [address, bootstrap, ...args, ...patience] };
}
