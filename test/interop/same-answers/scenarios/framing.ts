import {
  type Api,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DescribeCluster,
  DescribeConfigs,
  ElectLeaders,
  FindCoordinator,
  IncrementalAlterConfigs,
  ListOffsets,
  Metadata,
  Produce,
  SaslAuthenticate,
  SaslHandshake,
} from '@ottla/protocol';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import type { Scenario } from './scenario.ts';

const software = { clientSoftwareName: 'probe', clientSoftwareVersion: '1.0' };

/** size, key, version, correlation id, client id "c", then the rest. */
function raw(key: number, version: number, rest: readonly number[] = [], size?: number): Buffer {
  const frame = Buffer.from([key >> 8, key, version >> 8, version, 0, 0, 0, 7, 0, 1, 0x63, ...rest]);
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(size ?? frame.length);
  return Buffer.concat([prefix, frame]);
}

export const framing: readonly Scenario[] = [
  {
    name: 'ApiVersions',
    async run(probe) {
      for (const version of versionsOf(ApiVersions))
        await probe.ask('known client', ApiVersions, version, version >= 3 ? software : {});
      for (const version of [3, 4]) {
        for (const [name, its] of [
          ['', '1'],
          ['a', ''],
          ['-a', '1'],
          ['a-', '1'],
          ['a b', '1'],
          ['a_b', '1'],
          ['a.b-c', '1.2-x'],
          ['a', '1+2'],
          ['ä', '1'],
        ] as const)
          await probe.ask(`software "${name}" "${its}"`, ApiVersions, version, {
            clientSoftwareName: name,
            clientSoftwareVersion: its,
          });
      }
      await probe.sendRaw('version 5', raw(18, 5, [0, 2, 0x61, 2, 0x61, 0]));
      await probe.sendRaw('version 99 without body', raw(18, 99));
      await probe.sendRaw('version -1', raw(18, -1));
      await probe.sendRaw('version 3 with its body cut', raw(18, 3, [0, 9]));
    },
  },
  {
    name: 'frames',
    async run(probe) {
      await probe.sendRaw('API key 999', raw(999, 0));
      await probe.sendRaw('API key -1', raw(-1, 0));
      await probe.sendRaw('API key 4, of the past', raw(4, 0));
      await probe.sendRaw('an API for controllers only: Vote', raw(52, 0, [0, 0, 0, 0]));
      await probe.sendRaw('Metadata version 14', raw(3, 14, [0, 1, 0, 0, 0]));
      await probe.sendRaw('Metadata version -1', raw(3, -1));
      await probe.sendRaw('Produce version 2', raw(0, 2, [0, 1, 0, 0, 0, 1, 0, 0, 0, 0]));
      await probe.sendRaw('InitProducerId version 6', raw(22, 6, [0, 0, 0, 0, 0, 0, 0]));
      await probe.sendRaw('Fetch version 3', raw(1, 3));
      await probe.sendRaw('Metadata without body', raw(3, 1));
      await probe.sendRaw('Metadata with a topic count of 2^31-1', raw(3, 1, [0x7f, 0xff, 0xff, 0xff]));
      await probe.sendRaw('Metadata with a topic count of -2', raw(3, 1, [0xff, 0xff, 0xff, 0xfe]));
      await probe.sendRaw('Metadata with a name length of -2', raw(3, 1, [0, 0, 0, 1, 0xff, 0xfe]));
      await probe.sendRaw('Metadata with a name cut', raw(3, 1, [0, 0, 0, 1, 0, 9, 0x61]));
      await probe.sendRaw('Metadata with a client id length of -2', Buffer.from('0000000e0003000100000007fffe00000000', 'hex'));
      await probe.sendRaw('Metadata with a compact array of 2^32-1', raw(3, 12, [0, 0xff, 0xff, 0xff, 0xff, 0x0f]));
      const long = Buffer.concat([Buffer.from([0, 0x81, 0x80, 0x02]), Buffer.alloc(32768, 'x'), Buffer.from([1, 0])]);
      await probe.sendRaw('a compact string of 32768 bytes', raw(18, 3, [...long]));
      await probe.sendRaw('a size of 0', Buffer.from('00000000', 'hex'));
      await probe.sendRaw('a size of 3', Buffer.from('00000003000300', 'hex'));
      await probe.sendRaw('a size of -1', Buffer.from('ffffffff', 'hex'));
      await probe.sendRaw('a size of 2^31-1', Buffer.from('7fffffff', 'hex'));
      await probe.sendRaw('a size just over the limit', raw(3, 1, [0, 0, 0, 0], 104857601));
      await probe.sendRaw('an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
      await probe.sendRaw('a TLS hello', Buffer.from('1603010200010001fc0303', 'hex'));
      await stillServes(probe);
    },
  },
  {
    name: 'APIs that this listener has not',
    async run(probe) {
      for (const key of [4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 64, 67, 70, 71, 72, 73, 82, 93, 94, 127])
        await probe.sendRaw(`API key ${key}`, raw(key, 0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    },
  },
  {
    name: 'SASL on a plain listener',
    async run(probe) {
      await probe.askInEachVersion('handshake', SaslHandshake, { mechanism: 'PLAIN' });
      await probe.askInEachVersion('authenticate', SaslAuthenticate, { authBytes: Buffer.from('\0user\0password') });
      await probe.ask('still open', Metadata, 1, { topics: [] });
    },
  },
  {
    name: 'the listener of controllers',
    async run(probe) {
      const on = await probe.connect('controller');
      for (const version of versionsOf(ApiVersions))
        await probe.ask('known client', ApiVersions, version, version >= 3 ? software : {}, { on });
      for (const endpointType of [1, 2])
        await probe.ask(`endpoint type ${endpointType}`, DescribeCluster, 1, { endpointType }, { on });
      await probe.ask(
        'of a broker',
        DescribeConfigs,
        4,
        { resources: [{ resourceType: 4, resourceName: '1', configurationKeys: ['node.id'] }] },
        { on },
      );
      await probe.ask(
        'a topic',
        CreateTopics,
        7,
        { topics: [{ name: 'by-controller', numPartitions: 1, replicationFactor: 1 }], validateOnly: true },
        { on },
      );
      await probe.ask('an unknown topic', DeleteTopics, 6, { topics: [{ name: 'nowhere' }], timeoutMs: 1000 }, { on });
      await probe.ask(
        'of a topic',
        IncrementalAlterConfigs,
        1,
        { resources: [{ resourceType: 2, resourceName: 'nowhere', configs: [] }] },
        { on },
      );
      await probe.ask('for all', ElectLeaders, 2, { electionType: 0, topicPartitions: [], timeoutMs: 1000 }, { on });
      for (const [api, version] of [
        [Metadata, 12],
        [FindCoordinator, 4],
        [Produce, 9],
        [ListOffsets, 7],
      ] as const)
        await probe.ask('brokers only', api as Api, version, {}, { on: await probe.connect('controller') });
    },
  },
  {
    name: 'trailing bytes',
    async run(probe) {
      await probe.ask('with trailing bytes', Metadata, 1, { topics: [] }, { trailing: Buffer.from('garbage') });
      await probe.ask(
        'with trailing bytes',
        FindCoordinator,
        4,
        { keyType: 9, coordinatorKeys: [] },
        { trailing: Buffer.from([1, 2]) },
      );
      await probe.ask('without client id', Metadata, 1, { topics: [] }, { clientId: null });
      await probe.ask('with an empty client id', Metadata, 12, { topics: [] }, { clientId: '' });
    },
  },
  {
    name: 'pipelining',
    async run(probe) {
      const connection = await probe.connect();
      for (let index = 0; index < 20; index++) connection.writeFrame(probe.frameOf(Metadata, (index % 10) + 1, { topics: [] }));
      for (let index = 0; index < 20; index++)
        await probe.receive(`answer ${index}`, Metadata, (index % 10) + 1, { on: connection });
    },
  },
];

const stillServes = (probe: Probe): Promise<unknown> => probe.ask('and it goes on', Metadata, 1, { topics: [] });
