/**
 * Puts what the interop tests need into the interop home: Kafka's jars, the Python and the JavaScript clients. What is already
 * there and still matches its list is kept. kcat and a C compiler come from the system.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { systemPath, WorkerClient } from './clients/client.ts';
import { interopDirectory, interopHome, javascriptClients, python, pythonClients } from './home.ts';
import { archiveFile, compileJavaClient, installKafka } from './kafka/kafka.ts';
import { run, runAlong } from './processes.ts';
import { TargetNode } from './targets/node.ts';

export async function installInterop(): Promise<void> {
  needProgram('kcat', ['-V'], 'apt-get install kcat');
  needProgram('java', ['-version'], 'a JDK, version 17 or newer');
  needProgram('mvn', ['-version'], 'Apache Maven');
  // Side by side: they wait for the network, or keep one processor busy.
  const installed = await Promise.allSettled([installKafkaAndItsClient(), installPythonClients(), installJavascriptClients()]);
  for (const outcome of installed) if (outcome.status === 'rejected') throw outcome.reason;
}

async function installKafkaAndItsClient(): Promise<void> {
  await installKafka();
  await compileJavaClient();
  await recordClassArchives();
}

function needProgram(name: string, args: string[], remedy: string): void {
  try {
    run(name, args);
  } catch (error) {
    throw new Error(`the interop tests need ${name} (${remedy})`, { cause: error });
  }
}

async function installPythonClients(): Promise<void> {
  const list = readFileSync(join(interopDirectory, 'clients', 'requirements.txt'), 'utf8');
  if (isInstalled(pythonClients, list)) return;
  console.error('interop: installing the Python clients');
  rmSync(pythonClients, { recursive: true, force: true });
  await runAlong('python3', ['-m', 'venv', pythonClients]);
  await runAlong(python, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-deps',
    '-r',
    join(interopDirectory, 'clients', 'requirements.txt'),
  ]);
  markInstalled(pythonClients, list);
}

/**
 * @confluentinc/kafka-javascript has a native part. Its prebuilt binary is not on the package registry, so it is built here, from
 * the sources in the package, against the system's zlib, zstd and OpenSSL, for the Node that npm runs on.
 */
async function installJavascriptClients(): Promise<void> {
  const source = join(interopDirectory, 'clients');
  const list = readFileSync(join(source, 'package-lock.json'), 'utf8') + process.arch + run('node', ['-v'], onSystemPath);
  if (isInstalled(javascriptClients, list)) return;
  console.error('interop: installing the JavaScript clients, and building the native one (a minute)');
  rmSync(javascriptClients, { recursive: true, force: true });
  mkdirSync(javascriptClients, { recursive: true });
  for (const name of ['package.json', 'package-lock.json', '.npmrc'])
    copyFileSync(join(source, name), join(javascriptClients, name));
  const npm = { cwd: javascriptClients, ...onSystemPath };
  await runAlong('npm', ['ci', '--ignore-scripts'], npm);
  const native = '@confluentinc/kafka-javascript';
  inOneFile(join(javascriptClients, 'node_modules', native));
  await runAlong('npm', ['rebuild', `--build-from-source=${native}`, native], {
    ...npm,
    // Not optimized: it is compiled in a fifth of the time, and sends a few thousand records.
    env: { ...npm.env, CKJS_LINKING: 'dynamic', MAKEFLAGS: '', CFLAGS: '-O0', CXXFLAGS: '-O0' },
  });
  run('node', ['-e', `require('${native}')`], npm);
  markInstalled(javascriptClients, list);
}

/** Its sources become one file for the compiler, which then reads V8's headers once and not for each of them: a fifth of the time. */
function inOneFile(directory: string): void {
  const recipe = join(directory, 'binding.gyp');
  const text = readFileSync(recipe, 'utf8');
  const sources = [...text.matchAll(/'(src\/[\w-]+\.cc)'/g)].map(([, path]) => path!);
  writeFileSync(join(directory, 'all.cc'), sources.map((path) => `#include "${path}"\n`).join(''));
  writeFileSync(recipe, text.replace(/'sources': \[[^\]]*\]/, "'sources': ['all.cc']"));
}

const onSystemPath = {
  env: Object.fromEntries(Object.entries({ ...process.env, PATH: systemPath() }).filter(([name]) => !name.startsWith('npm_'))),
};

/** One short life of a server and of a client, to learn which classes they load. */
async function recordClassArchives(): Promise<void> {
  if (existsSync(archiveFile('server')) && existsSync(archiveFile('client'))) return;
  console.error('interop: recording class data archives');
  const node = await TargetNode.create('kafka');
  try {
    await node.stop();
    await node.start({ recordArchive: true });
    const java = new WorkerClient('java', node.bootstrap, { recordArchive: true });
    const topic = 'recording';
    await java.call('createTopic', { topic, partitions: 1 });
    await java.call('produce', { topic, records: [{ key: 'k', value: 'v' }], codec: 'zstd' });
    await java.call('join', { member: 'm', group: 'g', topics: [topic] });
    await java.call('poll', { member: 'm', count: 1 });
    await java.call('leave', { member: 'm' });
    const tool = { class: 'org.apache.kafka.tools.TopicCommand', args: ['--bootstrap-server', node.bootstrap, '--describe'] };
    await java.call('tool', tool);
    await java.close();
    await node.stop();
  } finally {
    await node.destroy();
  }
}

function isInstalled(directory: string, list: string): boolean {
  const note = join(directory, '.installed');
  return existsSync(note) && readFileSync(note, 'utf8') === list;
}

function markInstalled(directory: string, list: string): void {
  mkdirSync(interopHome, { recursive: true });
  writeFileSync(join(directory, '.installed'), list);
}
