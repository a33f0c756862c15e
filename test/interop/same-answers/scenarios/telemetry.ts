import {
  type CompressionCodec,
  compress,
  GetTelemetrySubscriptions,
  IncrementalAlterConfigs,
  idOfCodec,
  PushTelemetry,
  ZERO_UUID,
} from '@ottla/protocol';
import type { Probe } from '../probe.ts';
import type { Scenario } from './scenario.ts';

/** MetricsData of one gauge, whose name is "m". */
const oneMetric = Buffer.from('0a0b120912070a016d2a020a00', 'hex');

async function subscribe(probe: Probe, name: string, configs: Readonly<Record<string, string | null>>): Promise<void> {
  const changes = Object.entries(configs).map(([config, value]) => ({
    name: config,
    configOperation: value === null ? 1 : 0,
    value,
  }));
  await probe.ask(`subscribe ${name} ${JSON.stringify(configs)}`, IncrementalAlterConfigs, 1, {
    resources: [{ resourceType: 16, resourceName: name, configs: changes }],
  });
}

const idOf = (name: string): string => Buffer.from(name.padStart(16, '.')).toString('base64url');

function client(probe: Probe, name: string, clientId: string | null = name) {
  const clientInstanceId = idOf(name);
  return {
    get: (what: string, id = clientInstanceId) =>
      probe.ask(`${name}: ${what}`, GetTelemetrySubscriptions, 0, { clientInstanceId: id }, { clientId }),
    push: (what: string, request: object = {}) =>
      probe.ask(`${name}: ${what}`, PushTelemetry, 0, { clientInstanceId, metrics: oneMetric, ...request }, { clientId }),
  };
}

/** The 16 MiB that a client may send would take long to compare: the limit is for packed and unpacked metrics alike. */
const telemetryMaxBytes = 1_048_576;

export const telemetryScenarios: readonly Scenario[] = [
  {
    name: 'client metrics',
    async run(probe) {
      const first = client(probe, 'first');
      const told = await first.get('asks, and nothing is configured');
      await first.get('asks again');
      await first.push('pushes what nobody asked for', { subscriptionId: told!.subscriptionId });
      await first.push('pushes again', { subscriptionId: told!.subscriptionId });
      await first.get('asks after that');
      const fresh = await probe.ask(
        'without an id',
        GetTelemetrySubscriptions,
        0,
        { clientInstanceId: ZERO_UUID },
        { quiet: true },
      );
      probe.note('without an id', {
        ...fresh!,
        clientInstanceId: fresh!.clientInstanceId === ZERO_UUID ? 'none' : 'some',
        subscriptionId: 0,
      } as never);

      await subscribe(probe, 'cm-all', { metrics: 'org.a,org.b.', 'interval.ms': '60000' });
      await subscribe(probe, 'cm-few', {
        metrics: 'org.a,org.c',
        'interval.ms': '1000',
        match: 'client_id=fe.*,client_source_address=127\\.0\\.0\\.1',
      });
      await subscribe(probe, 'cm-other', { metrics: 'org.z', 'interval.ms': '100', match: 'client_software_name=other' });
      await subscribe(probe, 'cm-unknown', {
        metrics: 'org.u',
        match: 'client_software_name=unknown,client_software_version=unknown',
      });
      await first.get('asks when it has changed');
      await first.push('pushes with the old id', { subscriptionId: told!.subscriptionId });
      const few = client(probe, 'few');
      const fewTold = await few.get('asks');
      await few.get('asks');
      await few.push('pushes', { subscriptionId: fewTold!.subscriptionId });
      await few.push('pushes again', { subscriptionId: fewTold!.subscriptionId });
      await client(probe, 'few more').get('does not match wholly');
      await client(probe, 'nameless', null).get('has no client id');
      await subscribe(probe, 'cm-star', { metrics: 'x,*', match: 'client_id=star' });
      await client(probe, 'star').get('is asked for everything');
      for (const name of ['cm-all', 'cm-few', 'cm-other', 'cm-unknown', 'cm-star'])
        await subscribe(probe, name, { metrics: null, 'interval.ms': null, match: null });
      await few.get('asks when nothing is left');
    },
  },
  {
    name: 'client metrics: pushes',
    async run(probe) {
      for (const [what, clientInstanceId] of [
        ['the zero id', ZERO_UUID],
        ['the id one', 'AAAAAAAAAAAAAAAAAAAAAQ'],
      ] as const)
        await client(probe, 'reserved').push(what, { clientInstanceId });
      await client(probe, 'unknown').push('was never seen');
      await client(probe, 'one').get('asks by the id one', 'AAAAAAAAAAAAAAAAAAAAAQ');
      const pushed = async (what: string, request: object) => {
        const by = client(probe, what.slice(0, 16));
        const { subscriptionId } = (await by.get('asks'))!;
        await by.push(what, { subscriptionId, ...request });
        return { by, subscriptionId };
      };
      for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const packed = (bytes: Uint8Array) => ({
          compressionType: idOfCodec(codec as CompressionCodec),
          metrics: compress(codec, bytes),
        });
        await pushed(`${codec}`, packed(oneMetric));
        await pushed(`${codec} of rubbish`, packed(Buffer.from('rubbish')));
        await pushed(`${codec} of nothing`, packed(Buffer.alloc(0)));
        // An unknown field that fills the message to the limit, and one byte more.
        const filled = (size: number) => Buffer.concat([Buffer.from([0xfa, 0x07, ...varint(size - 5)]), Buffer.alloc(size - 5)]);
        await pushed(`${codec}, max`, packed(filled(telemetryMaxBytes)));
        await pushed(`${codec}, max+1`, packed(filled(telemetryMaxBytes + 1)));
      }
      await pushed('no gzip', { compressionType: 1 });
      await pushed('no zstd', { compressionType: 4 });
      const { by } = await pushed('type 5', { compressionType: 5 });
      await by.get('asks again, as it may');
      await pushed('type -1', { compressionType: -1 });
      await pushed('nothing', { metrics: Buffer.alloc(0) });
      await pushed('nothing of 5', { metrics: Buffer.alloc(0), compressionType: 5 });
      const last = await pushed('the last', { terminating: true });
      await last.by.push('more', { subscriptionId: last.subscriptionId });
      await last.by.push('yet more', { subscriptionId: last.subscriptionId });
      await last.by.push('the last again', { subscriptionId: last.subscriptionId, terminating: true });
      const wrong = await pushed('wrong subscription', { subscriptionId: 1 });
      await wrong.by.get('asks after that');
      await wrong.by.push('pushes after that', { subscriptionId: wrong.subscriptionId });
      await wrong.by.push('and terminates', { subscriptionId: wrong.subscriptionId, terminating: true });
      const leaving = await pushed('leaves', { subscriptionId: 1, terminating: true });
      await leaving.by.push('and stays', { subscriptionId: leaving.subscriptionId });
    },
  },
  {
    name: 'client metrics: a connection that ends',
    async run(probe) {
      const on = await probe.connect();
      const clientInstanceId = idOf('gone');
      const get = (what: string) => probe.ask(what, GetTelemetrySubscriptions, 0, { clientInstanceId }, { on });
      await get('asks');
      await get('asks again');
      on.close();
      const again = await probe.connect();
      await new Promise((resolve) => setTimeout(resolve, 300));
      await probe.ask('comes back', GetTelemetrySubscriptions, 0, { clientInstanceId }, { on: again });
    },
  },
];

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}
