import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeLogger, silentLogger } from '../index.ts';

function lines(options: Parameters<typeof nodeLogger>[0] = {}) {
  const written: string[] = [];
  return { logger: nodeLogger({ ...options, write: (line) => void written.push(line) }), written };
}

test('a line of text has time, level, message and fields', () => {
  const { logger, written } = lines();
  logger.child({ broker: 1 }).info('started', { port: 9092, name: 'two words', none: undefined, list: [1] });
  assert.equal(written.length, 1);
  assert.match(
    written[0]!,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO {2}started {2}broker=1 {2}port=9092 {2}name="two words" {2}list=\[1\]\n$/,
  );
});

test('lines below the level are not written', () => {
  const { logger, written } = lines({ level: 'warn' });
  logger.debug('no');
  logger.info('no');
  logger.warn('yes');
  logger.error('yes');
  assert.equal(written.length, 2);
});

test('an error is followed by its stack and its causes', () => {
  const { logger, written } = lines();
  logger.error('it failed', { error: new Error('outer', { cause: new TypeError('inner') }) });
  assert.match(written[0]!, / ERROR it failed {2}error="outer"\nError: outer\n {4}at [\s\S]+caused by TypeError: inner\n {4}at /);
});

test('an error that was thrown for somebody to read is told with its message, unless it is grave, or all is to be told', () => {
  class RefusedError extends Error {}
  const error = new RefusedError('no API has key 7', { cause: new RangeError('7') });
  const { logger, written } = lines();
  logger.info('closing a connection', { error });
  logger.warn('closing a connection', { error });
  for (const line of written) assert.match(line, /closing a connection {2}error="no API has key 7"\n$/);
  logger.error('closing a connection', { error });
  logger.info('a bug', { error: new TypeError('x is not a function') });
  const all = lines({ level: 'debug' });
  all.logger.info('closing a connection', { error });
  for (const line of [...written.slice(2), ...all.written]) assert.match(line, /\n {4}at /);
});

test('text from outside can neither forge a line nor drive the terminal', () => {
  const { logger, written } = lines();
  logger.info('client\n2026-01-01 ERROR forged\u001b[2J', { id: 'a\nb', other: '\u001b[31m\u009b', quote: '"' });
  assert.equal(written[0]!.split('\n').length, 2);
  assert.doesNotMatch(written[0]!.trimEnd(), /\p{Cc}/u);
});

test('json has one object a line', () => {
  const { logger, written } = lines({ format: 'json' });
  logger.child({ broker: 1 }).warn('slow', { ms: 5, error: new Error('why') });
  logger.debug('not written');
  const line = JSON.parse(written.join(''));
  assert.deepEqual([line.level, line.msg, line.broker, line.ms, line.error.message], ['warn', 'slow', 1, 5, 'why']);
});

test('the silent logger says nothing', () => {
  silentLogger.child({ a: 1 }).error('nothing');
});
