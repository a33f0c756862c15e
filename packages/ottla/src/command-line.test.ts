import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { BrokerConnection } from '@ottla/network';
import { errorName, FindCoordinator, ShareGroupHeartbeat } from '@ottla/protocol';
import { nodeRuntime, silentLogger } from '@ottla/runtime';
import { type Kafka, startKafka } from '@ottla/testing';

const bin = join(import.meta.dirname, '../bin/ottla.js');

type Finished = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

function start(kafka: Pick<Kafka, 'bootstrapServers'>, commandLine: readonly string[]) {
  const env = { ...process.env, OTTLA_BOOTSTRAP: kafka.bootstrapServers };
  return spawn(process.execPath, [bin, ...commandLine], { env, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Runs `ottla` in a process of its own; arguments are parted by spaces. */
async function ottla(
  kafka: Pick<Kafka, 'bootstrapServers'>,
  commandLine: string | readonly string[],
  input: string | Uint8Array = '',
): Promise<Finished> {
  const child = start(kafka, typeof commandLine === 'string' ? commandLine.split(' ') : commandLine);
  const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
  // Who refuses a line does not read what follows it.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await exit, stdout, stderr };
}

async function succeed(kafka: Kafka, commandLine: string | readonly string[], input?: string | Uint8Array): Promise<string> {
  const { status, stdout, stderr } = await ottla(kafka, commandLine, input);
  assert.equal(status, 0, stderr);
  return stdout;
}

test('a group of another kind is told from one that is not there', async () => {
  await using kafka = await startKafka({ topics: ['work'] });
  const [host, port] = kafka.bootstrapServers.split(':');
  const { network, timers, clock } = nodeRuntime({ logger: silentLogger });
  const connection = await BrokerConnection.connect({
    network,
    timers,
    clock,
    address: { host: host!, port: Number(port) },
    clientId: 'test',
  });
  const heartbeat = { groupId: 'jobs', memberId: 'AAAAAAAAAAAAAAAAAAAAAQ', memberEpoch: 0, subscribedTopicNames: ['work'] };
  let errorCode: number;
  do {
    await connection.send(FindCoordinator, { keyType: 0, coordinatorKeys: ['jobs'] });
    ({ errorCode } = await connection.send(ShareGroupHeartbeat, heartbeat));
  } while (errorName(errorCode) === 'COORDINATOR_LOAD_IN_PROGRESS' || errorName(errorCode) === 'NOT_COORDINATOR');
  await connection.close();
  assert.equal(errorName(errorCode), 'NONE');
  const stderr = "ottla: jobs is a share group, and no group of consumers: Kafka's kafka-share-groups.sh looks after it\n";
  assert.deepEqual(await ottla(kafka, 'groups describe jobs'), { status: 1, stdout: '', stderr });
  assert.deepEqual(await ottla(kafka, 'groups reset-offsets jobs --topic work --to-earliest --execute'), {
    status: 1,
    stdout: '',
    stderr,
  });
});

test('an option that is called otherwise, or goes elsewhere, is told', async () => {
  const nobody = { bootstrapServers: '127.0.0.1:1' };
  const told: readonly [commandLine: string, hint: string][] = [
    ['topics create greetings --replicas 3', 'Did you mean --replication-factor?'],
    ['topics create greetings --replication 3', 'Did you mean --replication-factor?'],
    ['topics list --bootstap x', 'Did you mean --bootstrap?'],
    ['topics list --broker-list x', 'Did you mean --bootstrap?'],
    [
      'topics --bootstrap-server x list',
      'It comes behind what is to be done: ottla topics list|create|describe|alter|delete --bootstrap-server ...',
    ],
    ['--bootstrap-server x topics list', 'It comes behind the command: ottla topics list --bootstrap-server ...'],
    ['topics --list', 'It is "ottla topics list", without dashes.'],
    ['groups --group mailers --describe', 'Say first what is to be done: ottla groups list|describe|delete|reset-offsets'],
    ['topics describe --topic greetings', 'It needs no option: ottla topics describe [topic...]'],
    ['produce --topic greetings', 'It needs no option: ottla produce <topic>'],
    ['configs describe --entity-type topics', 'It needs no option: ottla configs describe <kind> <name> [setting...]'],
    ['configs set --add-config a=b', 'Settings are changed by "ottla configs set".'],
    ['consume greetings --property print.key=true', 'Did you mean --keys, --headers, --offsets or --timestamps?'],
    ['consume greetings --max-records 3', 'Did you mean --max-messages?'],
  ];
  const answers = await Promise.all(told.map(([commandLine]) => ottla(nobody, commandLine)));
  for (const [index, { status, stdout, stderr }] of answers.entries()) {
    const [commandLine, hint] = told[index]!;
    assert.equal(status, 1, commandLine);
    assert.equal(stdout, '');
    const [first, second] = stderr.split('\n');
    assert.match(first!, /^ottla: unknown option '--/, commandLine);
    assert.equal(second, `(${hint})`, commandLine);
  }
});

test('a cluster may be named as for the tools of Kafka', async () => {
  await using kafka = await startKafka({ topics: ['greetings'] });
  const { bootstrapServers } = kafka;
  const nowhere = { bootstrapServers: '127.0.0.1:1' };
  for (const commandLine of [
    `topics list --bootstrap-server ${bootstrapServers}`,
    `topics list --bootstrap-server=${bootstrapServers} --json`,
    `produce greetings --value hello --bootstrap-server ${bootstrapServers}`,
    `consume greetings --from-beginning -n 1 --bootstrap-server ${bootstrapServers}`,
  ]) {
    const { status, stderr } = await ottla(nowhere, commandLine);
    assert.equal(status, 0, stderr);
  }
});

test('topics are created, listed, described, grown and deleted', async () => {
  await using kafka = await startKafka();
  assert.match(await succeed(kafka, 'topics list'), /no topics yet/);
  assert.equal(await succeed(kafka, 'topics create greetings -p 2 --config retention.ms=5000'), 'created greetings\n');
  assert.match(await succeed(kafka, 'topics create greetings --if-not-exists'), /there already/);
  assert.equal(await succeed(kafka, 'topics list'), 'TOPIC      PARTITIONS\ngreetings           2\n');
  await succeed(kafka, 'topics alter greetings --partitions 3');
  const described = await succeed(kafka, 'topics describe greetings');
  assert.match(described, /^greetings: 3 partitions, 1 replica each, id /);
  assert.match(described, /set: retention\.ms=5000/);
  const [topic] = JSON.parse(await succeed(kafka, 'topics describe greetings --json'));
  assert.equal(topic.partitions.length, 3);
  assert.equal(await succeed(kafka, 'topics delete greetings'), 'deleted greetings\n');
});

test('what was done is told also when something else was refused', async () => {
  await using kafka = await startKafka({ topics: ['old'] });
  const created = await ottla(kafka, 'topics create old new');
  assert.deepEqual(created, { status: 1, stdout: 'created new\n', stderr: "ottla: Topic 'old' already exists.\n" });
  const again = await ottla(kafka, 'topics create new newer --json');
  assert.deepEqual(
    JSON.parse(again.stdout).map((one: { name: string; created: boolean; error?: string }) => [one.name, one.created, one.error]),
    [
      ['new', false, 'TOPIC_ALREADY_EXISTS'],
      ['newer', true, undefined],
    ],
  );
  assert.equal(again.status, 1);
  assert.equal(await succeed(kafka, 'topics delete newer none --if-exists'), 'deleted newer\nnone was not there\n');
  await succeed(kafka, 'produce old', 'a\n');
  await succeed(kafka, 'consume old --group g --from-beginning -n 1');
  const deleted = await ottla(kafka, 'groups delete none g');
  assert.deepEqual(deleted, { status: 1, stdout: 'deleted g\n', stderr: 'ottla: there is no group none\n' });
});

test('lines are produced and consumed, with keys, headers and in any codec', async () => {
  await using kafka = await startKafka({ topics: ['greetings'] });
  assert.equal(await succeed(kafka, 'produce greetings', 'hello\nworld\r\n'), '2 records sent to greetings, 1 partition\n');
  await succeed(kafka, 'produce greetings --key-separator : --header lang=en --compression zstd', 'a:1\nb:2');
  assert.equal(await succeed(kafka, ['produce', 'greetings', '-k', 'c', '-v', 'last one']), 'sent to greetings-0 at offset 4\n');
  await succeed(kafka, 'produce greetings --key c --tombstone');
  assert.equal(
    await succeed(kafka, 'consume greetings --from-beginning --max-messages 6 --keys --headers --offsets'),
    '0@0\t\tnull\thello\n0@1\t\tnull\tworld\n0@2\tlang=en\ta\t1\n0@3\tlang=en\tb\t2\n0@4\t\tc\tlast one\n0@5\t\tc\tnull\n',
  );
  assert.equal(await succeed(kafka, 'consume greetings --offset -2 --timeout-ms 3000 --format %k=%v;'), 'c=last one;c=null;');
  const line = JSON.parse(await succeed(kafka, 'consume greetings --offset 2 -n 1 --json'));
  assert.deepEqual([line.offset, line.key, line.value, line.headers], [2, 'a', '1', [{ key: 'lang', value: 'en' }]]);
});

test('lines are sent byte by byte, and printed so', async () => {
  await using kafka = await startKafka({ topics: ['bytes', 'pairs'] });
  const bytes = Buffer.from([0xff, 0xfe, 0, 1, 0xc3, 0x0a, 0xe2, 0x82]);
  await succeed(kafka, 'produce bytes', bytes);
  await succeed(kafka, ['produce', 'pairs', '-s', '\\t'], Buffer.from([0xff, 0x09, 0xfe, 0x0a]));
  const [pair] = JSON.parse(`[${await succeed(kafka, 'consume pairs -o 0 -n 1 --json')}]`);
  assert.deepEqual([pair.key, pair.value], [{ base64: '/w==' }, { base64: '/g==' }]);
  const child = start(kafka, ['consume', 'bytes', '--from-beginning', '-n', '2']);
  assert.deepEqual(await buffer(child.stdout), Buffer.concat([bytes, Buffer.from('\n')]));
});

test('lines before one that cannot be sent are sent, and both is told', async () => {
  await using kafka = await startKafka({ topics: ['pairs'] });
  const unpaired = await ottla(kafka, 'produce pairs -s :', 'a:1\nb:2\nnocolon\nc:3\n');
  assert.equal(unpaired.status, 1);
  assert.equal(unpaired.stderr, 'ottla: line 3 has no separator ":": it must be key:value (2 records before it sent)\n');
  const long = await ottla(kafka, 'produce pairs', `short\n${'x'.repeat(3_000_000)}\nshort\n`);
  assert.match(long.stderr, /^ottla: line 2 is longer than the \d+ bytes .*--max-request-size.* \(1 record before it sent\)\n$/);
  assert.equal(await succeed(kafka, 'consume pairs --from-beginning --timeout-ms 3000 -f %v;'), '1;2;short;');
  assert.match((await ottla(kafka, ['produce', 'pairs', '-s', ''], 'x')).stderr, /at least one character/);
});

test('a group commits just what it printed, is described with its lag, and moved', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await succeed(kafka, 'produce log', 'a\nb\nc\nd\n');
  assert.equal(await succeed(kafka, 'consume log --group g --from-beginning -n 3'), 'a\nb\nc\n');
  assert.match(await succeed(kafka, 'groups list'), /^g +Empty +classic +consumer$/m);
  const described = await succeed(kafka, 'groups describe g');
  assert.match(described, /^g: Empty, 0 members, lag 1$/m);
  assert.match(described, /^log +0 +3 +4 +1 /m);
  assert.match(await succeed(kafka, 'groups reset-offsets g --topic log --shift-by -2'), /^log +0 +3 +1$/m);
  assert.equal(await succeed(kafka, 'consume log --group g -n 1'), 'd\n');
  await succeed(kafka, 'groups reset-offsets g --all-topics --to-earliest --execute');
  assert.equal(await succeed(kafka, 'consume log --group g -n 1'), 'a\n');
  const [change] = JSON.parse(
    await succeed(kafka, 'groups reset-offsets g --topic log:0 --to-datetime 2100-01-01T00:00:00Z --json'),
  );
  assert.deepEqual([change.before, change.after, change.executed], [1, 4, false]);
  assert.equal(await succeed(kafka, 'groups delete g'), 'deleted g\n');
});

test('configs are set, described and unset', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  assert.match(await succeed(kafka, 'configs describe topic log'), /Nothing was changed/);
  await succeed(kafka, 'configs set topic log cleanup.policy=compact,delete retention.ms=5000');
  assert.match(await succeed(kafka, 'configs describe topic log'), /^retention\.ms +5000 +topic$/m);
  await succeed(kafka, 'configs unset topic log retention.ms');
  assert.match(
    await succeed(kafka, 'configs describe topic log retention.ms --docs'),
    /^retention\.ms = 604800000 \(default\)\n {2}\w/,
  );
  await succeed(kafka, 'configs set broker default log.retention.ms=1000000');
  assert.match(await succeed(kafka, 'configs describe broker default'), /^log\.retention\.ms +1000000 +default-broker$/m);
});

test('errors go to stderr with status 1, and say what to do', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const refusals: [string, RegExp][] = [
    ['topics describe none', /there is no topic none: create it with "ottla topics create none"/],
    ['consume none', /there is no topic none/],
    ['topics create log', /already exists/],
    ['topics delete none', /nothing was deleted/],
    ['consume log --group g --offset 5', /drop --partition and --offset/],
    ['groups describe none', /"ottla groups list" shows those there are/],
    ['groups reset-offsets g --topic log', /say where to/],
    ['configs set topic log nonsense=1', /nonsense/],
    ['configs set topic log retention.ms', /not of the form name=value/],
    ['topics create log --partitions none', /^ottla: .*whole number/],
    ['configs unset topic log retention.ms nosuch', /^ottla: topic log has no setting nosuch: "ottla configs describe/],
    ['configs describe topic log retention.foo', /^ottla: topic log has no setting retention.foo: /],
    ['configs describe broker 7', /^ottla: there is no broker 7 in the cluster, or it is down$/m],
    ['topics alter nosuch --partitions 3', /^ottla: there is no topic nosuch: /],
    ['groups reset-offsets g --topic nosuch --to-earliest', /^ottla: there is no topic nosuch: /],
    ['produce no~name --value x', /^ottla: topic no~name: .*valid.*\n$/],
    ['configs describe topic nosuch', /^ottla: there is no topic nosuch: /],
    ['configs set topic nosuch retention.ms=1', /^ottla: topic nosuch: \w/],
    ['consume log --from-beginning --offset 3', /^ottla: --from-beginning and --offset both say where to begin/],
    ['consume log --partition 9', /^ottla: there is no partition log-9: log has 1 partition, counted from 0$/m],
    ['start --ephemeral --data somewhere', /^ottla: --ephemeral keeps nothing in a directory: drop it, or --data$/m],
    ['produce log --tombstone', /name it with --key/],
  ];
  for (const [commandLine, expected] of refusals) {
    const { status, stdout, stderr } = await ottla(kafka, commandLine);
    assert.equal(status, 1, commandLine);
    assert.equal(stdout, '');
    assert.match(stderr, expected, commandLine);
    assert.doesNotMatch(stderr, /\n\s+at /, `${commandLine} shows a stack`);
  }
  const { status, stderr } = await ottla({ bootstrapServers: '127.0.0.1:1' }, 'topics list');
  assert.equal(status, 1);
  assert.match(stderr, /nothing listens on 127\.0\.0\.1:1: start a node with "ottla start"/);
});

test('Ctrl-C ends a group consumer politely: it commits and leaves', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await succeed(kafka, 'produce log', 'a\nb\n');
  const child = start(kafka, ['consume', 'log', '--group', 'g', '--from-beginning']);
  const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
  let printed = '';
  for await (const chunk of child.stdout) {
    printed += chunk;
    if (printed === 'a\nb\n') child.kill('SIGINT');
  }
  assert.equal(await exit, 0);
  const [group] = await kafka.admin().describeConsumerGroups(['g']);
  assert.equal(group?.state, 'Empty');
  assert.equal((await kafka.admin().listConsumerGroupOffsets('g'))[0]?.offset, 2);
});

test('who consumes is told that the broker is gone, and that it is back', async () => {
  const files = mkdtempSync(join(tmpdir(), 'ottla-consume-'));
  try {
    const first = await startKafka({ topics: ['log'], files });
    const child = start(first, ['consume', 'log', '--from-beginning', '-n', '2']);
    const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
    const stderr = text(child.stderr);
    await succeed(first, 'produce log', 'a\n');
    const gone = new Promise((resolve) => void child.stderr.once('data', resolve));
    await new Promise((resolve) => void child.stdout.once('data', resolve));
    await first.stop();
    await gone;
    await using second = await startKafka({ files, port: Number(first.bootstrapServers.split(':')[1]) });
    await succeed(second, 'produce log', 'b\n');
    assert.equal(await exit, 0);
    const lines = new Set((await stderr).trimEnd().split('\n'));
    assert.deepEqual(
      [...lines],
      [
        `ottla: cannot connect to ${first.bootstrapServers}: connection refused (ECONNREFUSED); trying on`,
        `ottla: connected to ${first.bootstrapServers} again`,
      ],
    );
  } finally {
    rmSync(files, { recursive: true, force: true });
  }
});

test('a node that is told to stop while it starts ends in order', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-start-'));
  try {
    const data = join(directory, 'data');
    const child = spawn(process.execPath, [bin, 'start', '--port', '0', '--data', data], { stdio: 'ignore' });
    const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
    while (!existsSync(join(data, 'meta.properties'))) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
    assert.ok(existsSync(join(data, '.kafka_cleanshutdown')));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('an output that cannot be written is told in a line', { skip: process.platform !== 'linux' }, async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const env = { ...process.env, OTTLA_BOOTSTRAP: kafka.bootstrapServers };
  const child = spawn(process.execPath, [bin, 'topics', 'list'], { env, stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] });
  const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
  assert.match(await text(child.stderr!), /^ottla: cannot write the output: .*no space left on device.*\n$/);
  assert.equal(await exit, 1);
});

test('a reader that stops early is no error', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await succeed(kafka, 'produce log', 'line\n'.repeat(20_000));
  const child = start(kafka, ['consume', 'log', '--from-beginning']);
  const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
  const stderr = text(child.stderr);
  child.stdout.once('data', () => child.stdout.destroy());
  assert.equal(await exit, 0);
  assert.equal(await stderr, '');
});

test('every command has a help that shows examples or says what columns mean', async () => {
  const kafka = { bootstrapServers: '127.0.0.1:1' };
  const commands = [
    'topics create',
    'topics describe',
    'produce',
    'consume',
    'groups describe',
    'groups reset-offsets',
    'configs describe',
    'configs set',
    'storage format',
    'start',
  ];
  for (const command of commands) {
    const { status, stdout } = await ottla(kafka, `${command} --help`);
    assert.equal(status, 0);
    assert.match(stdout, /Examples?:|Columns:/, command);
  }
  const { stdout } = await ottla(kafka, '--help');
  for (const name of ['start', 'storage', 'topics', 'produce', 'consume', 'groups', 'configs'])
    assert.match(stdout, new RegExp(`^ {2}${name} `, 'm'));
});

test('a port that is taken is told once, and what to do', async () => {
  await using kafka = await startKafka();
  const port = kafka.bootstrapServers.split(':')[1]!;
  const { status, stderr, stdout } = await ottla(kafka, `start --ephemeral --port ${port} --log-level error`);
  assert.equal(status, 1);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(
      `^ottla: cannot listen on 127.0.0.1:${port}: address already in use \\(EADDRINUSE\\): stop who listens there, or .*\n$`,
    ),
  );
});

test('a node on a port of its own says how to reach it', async () => {
  const child = start({ bootstrapServers: '' }, ['start', '--ephemeral', '--port', '0', '--log-level', 'error']);
  const exit = new Promise<number | null>((resolve) => void child.on('exit', resolve));
  let printed = '';
  for await (const chunk of child.stdout) {
    printed += chunk;
    if (printed.includes('Ctrl-C')) child.kill('SIGINT');
  }
  assert.equal(await exit, 0);
  const [, port] = /Kafka on 127\.0\.0\.1:(\d+)/.exec(printed)!;
  assert.match(printed, new RegExp(`ottla topics create greetings --partitions 3 --bootstrap 127.0.0.1:${port}$`, 'm'));
});
