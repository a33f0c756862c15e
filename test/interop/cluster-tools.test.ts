/** Kafka's command-line tools on a cluster of three nodes, as transcripts (transcript.ts). */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { after, before, describe } from 'node:test';
import { combined, ProcessCluster } from '../cluster/process-cluster.ts';
import type { Client } from './clients/client.ts';
import { connectClient } from './clients/connect.ts';
import { interopDirectory } from './home.ts';
import { eventually } from './processes.ts';
import { targets } from './targets/node.ts';
import { metadataSettled } from './targets/settled.ts';
import { expectTranscript, type TranscriptTarget } from './transcript.ts';

const recording = process.env['INTEROP_RECORD'] === '1';
/** INTEROP_TRANSCRIPTS=brokers: only those. */
const chosen = process.env['INTEROP_TRANSCRIPTS']?.split(',');
const files = globSync(join(interopDirectory, 'cluster-tools', '*.txt')).sort();

const properties = {
  'auto.leader.rebalance.enable': 'false', // when leaders move is told by the transcripts
  'broker.session.timeout.ms': '9000', // long enough for a slow machine, and Kafka takes a broker back that soon
  'broker.heartbeat.interval.ms': '300',
  'controller.quorum.fetch.timeout.ms': '20000', // a change that is asked for again because the controller is another was done before
  'controller.quorum.append.linger.ms': '0',
  'min.insync.replicas': '2',
};

for (const target of targets) {
  describe(`tools on a cluster of ${target}`, () => {
    let cluster: ProcessCluster | undefined;
    let java: Client | undefined;
    before(async () => {
      cluster = await ProcessCluster.create({ nodes: combined(target, 3), properties, onLoopback: true });
      java = connectClient('java', cluster.bootstrap);
    });
    after(async () => {
      await java?.close();
      await cluster?.destroy();
    });
    const bench = {
      get node(): TranscriptTarget {
        if (!cluster) throw new Error(`${target} did not start`);
        return transcriptTarget(cluster, java!);
      },
      client: () => java!,
    };
    for (const file of files) {
      if (chosen && !chosen.includes(basename(file, '.txt'))) continue;
      expectTranscript(file, bench, recording);
    }
  });
}

function transcriptTarget(cluster: ProcessCluster, java: Client): TranscriptTarget {
  const [first] = cluster.nodes;
  const node = (args: { readonly [name: string]: unknown }) => cluster.node(args['node'] as number);
  return {
    bootstrap: cluster.bootstrap,
    port: first!.brokerAddress.port,
    controllerPort: first!.controllerAddress.port,
    directory: cluster.directory,
    dataDirectory: first!.dataDirectory,
    /** Every broker acts on what was changed before. */
    async settled() {
      const running = cluster.brokers.filter(({ isRunning }) => isRunning);
      for (const { brokerAddress } of running) await metadataSettled(brokerAddress.port);
    },
    names: [
      [cluster.controllerBootstrap, '<controllers>'],
      [cluster.bootstrap, '<bootstrap>'],
      ...cluster.nodes.flatMap(({ id, brokerAddress, controllerAddress, dataDirectory }): [string, string][] => [
        [`${brokerAddress.host}:${brokerAddress.port}`, `<broker ${id}>`],
        [`${controllerAddress.host}:${controllerAddress.port}`, `<controller ${id}>`],
        [` ${brokerAddress.port} `, ` <port ${id}> `],
        [dataDirectory, `<data ${id}>`],
      ]),
    ],
    operations: {
      /** As an operator stops it; resolves when it is fenced and leads nothing. */
      async stop(args) {
        await node(args).stop();
        await eventually('it leads nothing', async () => {
          const { brokers, topics } = await cluster.metadata();
          const leaders = topics.flatMap(({ partitions }) => partitions.map(({ leaderId }) => leaderId));
          return !brokers.some(({ nodeId }) => nodeId === args['node']) && !leaders.includes(args['node'] as number);
        });
      },
      async start(args) {
        await node(args).start();
        await cluster.whole();
      },
      /** Resolves when the partitions of a topic have no more replicas than they should, all in sync. */
      async moved(args) {
        await eventually('it is moved', async () => {
          const { stdout } = await java.call('tool', {
            class: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
            args: ['--bootstrap-server', cluster.bootstrap, '--list'],
          });
          return !stdout.includes(`${args['topic']}-`);
        });
        await cluster.whole();
      },
      async fill(args) {
        const value = 'x'.repeat(args['bytes'] as number);
        const records = Array.from({ length: args['records'] as number }, () => ({ key: null, value }));
        await java.call('produce', { topic: args['topic'] as string, records });
      },
    },
  };
}
