import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generatedFiles, presentFiles } from '../scripts/generate.ts';
import { parseSchema } from '../scripts/schema/parse.ts';
import { apis } from './index.ts';

test('the committed codecs are what the schemas generate', () => {
  const files = generatedFiles();
  assert.deepEqual(presentFiles(), [...files.keys()].sort());
  for (const [path, text] of files) {
    assert.ok(readFileSync(new URL(path, import.meta.url), 'utf8') === text, `${path} is out of date: npm run generate`);
  }
});

test('every API of Kafka 4.3.1 is there', () => {
  // 4 to 7 were between brokers and ZooKeeper's controller, and have no versions any more.
  const expected = Array.from({ length: 93 }, (_, key) => key).filter((key) => key < 4 || key > 7);
  assert.deepEqual(
    apis.map(({ apiKey }) => apiKey),
    expected,
  );
});

test('a schema says where what is', () => {
  const [api] = parseSchema(
    [
      'api Example 99 # a comment',
      'listeners broker controller',
      '',
      'request 2-5 flexible 4+ unstable',
      '  struct Shared  v3+',
      '    id: uuid',
      '  names: string[]?3+  v2-4 ignorable',
      '  limit: int32 = -1  v4+ tag 0',
      '  items: Shared[]',
      '    ',
      'response 2-5',
      '  entries: Entry[]',
      '    count: int64  v3',
    ].join('\n'),
    'example.schema',
  );
  const [request, response] = api!.messages;
  assert.deepEqual([api!.kind, api!.name, api!.number, api!.listeners], ['api', 'Example', 99, ['broker', 'controller']]);
  assert.deepEqual([request!.versions, request!.flexibleFrom, request!.isLatestUnstable], [{ first: 2, last: 5 }, 4, true]);
  const [names, limit, items] = request!.root.fields;
  assert.deepEqual(
    [names!.versions, names!.nullable, names!.isArray, names!.isIgnorable],
    [{ first: 2, last: 4 }, { first: 3, last: 4 }, true, true],
  );
  assert.deepEqual([limit!.tag, limit!.default, limit!.versions], [0, '-1', { first: 4, last: 5 }]);
  assert.deepEqual(items!.element, { kind: 'struct', name: 'Shared' });
  assert.deepEqual(request!.structs.get('Shared')!.versions, { first: 3, last: 5 });
  assert.deepEqual(response!.structs.get('Entry')!.fields[0]!.versions, { first: 3, last: 3 });
});

test('a mistake in a schema is reported with its line', () => {
  const data = (...fields: string[]): string => ['data Example versions 0-2 flexible 1+', ...fields].join('\n');
  const mistakes: [string, RegExp][] = [
    [data('  name string'), /:2: not a field/],
    [data('  name: Missing'), /no struct Missing/],
    [data('    name: string'), /:2: indent by two spaces/],
    [data('  name: string  v7+'), /:2: 7\+ lies outside/],
    [data('  a: int8  v1+ tag 0', '  b: int8  v1+ tag 2'), /leave a gap/],
    ['dat Example', /no such declaration/],
    ['api Example 1\nrequest 0', /ends too early/],
    [data('  struct A', '    b: B', '  struct B', '    a: A', '  a: A'), /contains itself/],
  ];
  for (const [schema, message] of mistakes) assert.throws(() => parseSchema(schema, 'example.schema'), message);
});
