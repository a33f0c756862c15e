import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJavaProperties } from './java-properties.ts';

const read = (text: string): Record<string, string> => Object.fromEntries(parseJavaProperties(text));

test('a key ends at =, : or a blank, and blanks around the separator do not count', () => {
  assert.deepEqual(read('a=1\nb : 2\nc 3\nd\t=\t4\n  e=5 \nf'), { a: '1', b: '2', c: '3', d: '4', e: '5 ', f: '' });
  assert.deepEqual(read('a==1\nb= = 2\nlisteners=PLAINTEXT://:9092'), { a: '=1', b: '= 2', listeners: 'PLAINTEXT://:9092' });
});

test('comments and empty lines are skipped, but not inside a continued line', () => {
  assert.deepEqual(read('# x=1\n! y=2\n\n  # z=3\na=1\\\n  #2\r\nb=3'), { a: '1#2', b: '3' });
});

test("a backslash at the end continues the line without the next one's leading blanks", () => {
  assert.deepEqual(read('a=one,\\\n   two,\\\n\tthree\nb=x\\\\\nc=4\nd=5\\'), { a: 'one,two,three', b: 'x\\', c: '4', d: '5' });
});

test('escapes stand for their characters in keys and values', () => {
  assert.deepEqual(read('a\\ b\\=c=d\\te\\u0041\\q\npath=C\\:\\\\logs'), { 'a b=c': 'd\teAq', path: 'C:\\logs' });
});

test('the last of two equal keys holds', () => {
  assert.deepEqual(read('a=1\nb=2\na=3'), { b: '2', a: '3' });
});
