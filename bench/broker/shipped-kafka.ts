import { serverCommand } from '../../test/interop/kafka/kafka.ts';

export type KafkaNode = { readonly propertiesFile: string; readonly directory: string };

/** As kafka-server-start.sh runs it: a heap of a gigabyte, G1, all compilers. */
export function shippedKafka({ propertiesFile, directory }: KafkaNode): string[] {
  const ours = new Set(['-Xms48m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']);
  return [
    'java',
    ...['-Xms1g', '-Xmx1g', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'],
    ...['-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent'],
    ...serverCommand(propertiesFile, directory).filter((arg) => !ours.has(arg) && !arg.includes('SharedArchive')),
  ];
}
