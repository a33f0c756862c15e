import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { IoError } from '../index.ts';
import { lockFile } from './lock.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ottla-lock-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let locks = 0;
const fresh = () => join(scratch, `${locks++}.lock`);
const isLocked = (error: unknown) => error instanceof IoError && error.code === 'ELOCKED';

test('a released lock leaves an empty file, as Kafka does', () => {
  const path = fresh();
  const lock = lockFile(path);
  assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} `));
  lock.release();
  assert.equal(readFileSync(path, 'utf8'), '');
  assert.equal(existsSync(`${path}.guard`), false);
});

test('another process holds the lock until it dies, however it dies', async () => {
  const path = fresh();
  const module = JSON.stringify(new URL('./lock.ts', import.meta.url).href);
  const code = `const { lockFile } = await import(${module}); lockFile(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  assert.throws(
    () => lockFile(path),
    (error: unknown) => isLocked(error) && String(error).includes(`process ${holder.pid}`),
  );
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  lockFile(path).release();
});

test('a pid that was given to another process since is no holder', { skip: process.platform !== 'linux' }, () => {
  const path = fresh();
  writeFileSync(path, `${process.pid} of-another-boot/123\n`);
  lockFile(path).release();
});

test('a dead process that nobody has reaped is no holder', { skip: process.platform !== 'linux' }, async () => {
  const path = fresh();
  // The shell becomes `sleep`, which never asks for the end of the child that the shell had started.
  const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(output.toString());
    const startOf = (): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    while (startOf()[0] !== 'Z') await new Promise((resolve) => setImmediate(resolve));
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    writeFileSync(path, `${pid} ${boot}/${startOf()[19]}\n`);
    lockFile(path).release();
  } finally {
    parent.kill('SIGKILL');
  }
});

test('what Kafka, or a process that died while writing, left there is no holder', () => {
  for (const content of ['', 'garbage', '12', '99999999999999999999 -\n']) {
    const path = fresh();
    writeFileSync(path, content);
    lockFile(path).release();
  }
});

test('a guard without a name is removed when it is old, and respected before', () => {
  const path = fresh();
  writeFileSync(`${path}.guard`, '');
  assert.throws(() => lockFile(path), isLocked);
  utimesSync(`${path}.guard`, 0, 0);
  lockFile(path).release();
});

test('the guard of a process that was killed while it took the lock keeps nobody out', async () => {
  const path = fresh();
  const killed = spawn('true');
  await once(killed, 'exit');
  writeFileSync(`${path}.guard`, `${killed.pid} of-this-boot/1\n`);
  lockFile(path).release();
  assert.deepEqual(
    readdirSync(scratch).filter((name) => name.includes('.guard') && name.startsWith(basename(path))),
    [],
  );
});

test('the guard of a living process is respected, however old', async () => {
  const path = fresh();
  lockFile(path);
  const name = readFileSync(path, 'utf8');
  writeFileSync(path, '');
  writeFileSync(`${path}.guard`, name);
  utimesSync(`${path}.guard`, 0, 0);
  assert.throws(() => lockFile(path), isLocked);
});

test('a file that another program has locked is refused', {
  skip: !existsSync('/usr/bin/flock') || process.platform !== 'linux',
}, async () => {
  const path = fresh();
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  assert.throws(() => lockFile(path), isLocked);
  holder.stdin.end('done\n');
  await once(holder, 'exit');
  lockFile(path).release();
});
