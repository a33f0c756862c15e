/** What lies in deploy/ works: nodes start with the properties as they are, on simulated machines of the names in them. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BrokerServer, formatDirectories, randomUuid } from '@ottla/broker';
import { parseBrokerConfig } from '@ottla/metadata';
import { BrokerConnection } from '@ottla/network';
import { DescribeCluster } from '@ottla/protocol';
import { silentLogger, World } from '@ottla/runtime';

const deploy = join(import.meta.dirname, '../../deploy');
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');
const properties = readdirSync(join(deploy, 'properties'));

/** Formats and starts the nodes of these files; gives how many brokers one of them sees. */
async function brokersOf(files: readonly string[]): Promise<number> {
  const world = new World({ seed: 1 });
  const parsed = files.map((file) => parseBrokerConfig(read(`properties/${file}`)));
  const clusterId = 'a-cluster-for-tests-xx';
  const nodes = parsed.map((each) => {
    const advertised = /:\/\/(.*?):/.exec(each.properties.get('advertised.listeners')!)![1]!;
    return { ...each, host: advertised, runtime: world.machine(advertised, { logger: silentLogger }).boot() };
  });
  const controllers = nodes.filter(({ config }) => config['process.roles'].includes('controller'));
  const initialControllers = controllers
    .map(({ config, host, runtime }) => `${config['node.id']}@${host}:9093:${randomUuid(runtime.random)}`)
    .join(',');
  for (const { config, properties: given, runtime } of nodes) {
    const isController = config['process.roles'].includes('controller');
    formatDirectories({
      ...runtime,
      nowMs: runtime.clock.nowMs(),
      config,
      properties: given,
      clusterId,
      ...(isController ? { initialControllers } : { noInitialControllers: true }),
    });
  }
  const servers = await world.runUntil(
    Promise.all(nodes.map(({ runtime, properties: given }) => BrokerServer.start({ runtime, properties: given }))),
  );
  const { host, runtime } = nodes.find(({ config }) => config['process.roles'].includes('broker'))!;
  const seen = (async () => {
    const connection = await BrokerConnection.connect({ ...runtime, address: { host, port: 9092 }, clientId: 'test' });
    for (;;) {
      const { brokers } = await connection.send(DescribeCluster, { endpointType: 1, includeClusterAuthorizedOperations: false });
      if (brokers.length === 3) return brokers.length;
      await new Promise<void>((resolve) => void runtime.timers.after(100, resolve));
    }
  })();
  const count = await world.runUntil(seen);
  assert.equal(servers.length, files.length);
  return count;
}

test('three combined nodes start with their properties', async () => {
  assert.equal(await brokersOf(properties.filter((file) => file.startsWith('combined'))), 3);
});

test('three controllers and three brokers in racks start with theirs', async () => {
  assert.equal(await brokersOf(properties.filter((file) => /^(controller|broker)/.test(file))), 3);
});

test('no setting of the properties is unknown, or does nothing', () => {
  for (const file of properties) {
    const { warnings } = parseBrokerConfig(read(`properties/${file}`));
    assert.deepEqual(warnings, [], file);
  }
});

test('the unit is what systemd takes', (t) => {
  const unit = read('systemd/ottla.service');
  for (const section of ['[Unit]', '[Service]', '[Install]'])
    assert.ok(unit.includes(`\n${section}\n`) || unit.startsWith(section));
  if (spawnSync('systemd-analyze', ['--version']).error) return t.skip('systemd-analyze is not here');
  const { stderr, status } = spawnSync('systemd-analyze', ['verify', join(deploy, 'systemd/ottla.service')], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr.trim()], [0, '']);
});

test('the script of a pod is a shell script, and the image has all it needs', () => {
  execFileSync('sh', ['-n', join(deploy, 'container/start-node.sh')]);
  const image = read('container/Containerfile');
  const instructions = [...image.matchAll(/^([A-Z]+) /gm)].map(([, name]) => name!);
  assert.equal(instructions[0], 'FROM');
  for (const needed of ['COPY', 'USER', 'VOLUME', 'EXPOSE', 'STOPSIGNAL', 'ENTRYPOINT', 'CMD'])
    assert.ok(instructions.includes(needed), needed);
  assert.match(image, /^FROM \S+:(?!latest)\S+$/m);
  assert.ok(instructions.indexOf('USER') > instructions.lastIndexOf('RUN'), 'nothing is installed as the user that runs it');
});

test('a pod is formatted as one of the first voters only while it is told who they are', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'ottla-pod-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const program = (name: string, lines: string) => writeFileSync(join(home, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  program('hostname', 'echo ottla-1');
  program('ottla', 'echo "$@"');
  writeFileSync(join(home, 'server.properties.given'), 'process.roles=broker,controller\n');
  const script = read('container/start-node.sh')
    .replaceAll('/etc/ottla/server.properties', join(home, 'server.properties.given'))
    .replaceAll('/var/lib/ottla', home);
  const voters = '0@ottla-0.ottla:9093:q1h0tXKzSJ2mVb8dL4nEwA,1@ottla-1.ottla:9093:Zk7RcPqYQx6sGf3uHj9aBg';
  const formatted = (env: Record<string, string>): string => {
    const given = { PATH: `${home}:${process.env['PATH']}`, CLUSTER_ID: 'id', HOST_SUFFIX: '.ottla', ...env };
    return execFileSync('sh', ['-c', script], { env: given, encoding: 'utf8' }).split('\n')[0]!;
  };
  assert.ok(formatted({ INITIAL_CONTROLLERS: voters }).endsWith(` --initial-controllers ${voters}`));
  assert.ok(formatted({ INITIAL_CONTROLLERS: voters.split(',')[0]! }).endsWith(' --no-initial-controllers'));
  assert.ok(formatted({}).endsWith(' --no-initial-controllers'));
  const settings = readFileSync(join(home, 'server.properties'), 'utf8');
  assert.match(
    settings,
    /^node\.id=1\nadvertised\.listeners=PLAINTEXT:\/\/ottla-1\.ottla:9092,CONTROLLER:\/\/ottla-1\.ottla:9093$/m,
  );
});

test("the manifests hang together, and the pods' properties start a node", () => {
  const text = read('kubernetes/ottla.yaml');
  const documents = text.split(/^---$/m);
  const kinds = documents.map((document) => /^kind: (\w+)$/m.exec(document)![1]);
  assert.deepEqual(kinds, ['ConfigMap', 'Service', 'Service', 'PodDisruptionBudget', 'StatefulSet']);
  for (const document of documents)
    assert.ok(!document.includes('\t') && /^apiVersion: /m.test(document) && /app\.kubernetes\.io\/name: ottla/.test(document));
  const [, block] = /server\.properties: \|\n((?: {4}.*\n)+)/.exec(text)!;
  const settings = block!.replaceAll(/^ {4}/gm, '');
  const { warnings, config } = parseBrokerConfig(
    `${settings}node.id=0\nadvertised.listeners=PLAINTEXT://ottla-0.ottla.default.svc.cluster.local:9092,CONTROLLER://ottla-0.ottla.default.svc.cluster.local:9093\n`,
  );
  assert.deepEqual(warnings, []);
  const voters = /INITIAL_CONTROLLERS: >-\n +(\S+)/
    .exec(text)![1]!
    .split(',')
    .map((voter) => voter.replace(/^\d+@/, '').replace(/:[^:]+$/, ''));
  assert.deepEqual(voters, config['controller.quorum.bootstrap.servers']);
});
