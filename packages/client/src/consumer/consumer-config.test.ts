import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringDeserializer } from './consumer-config.ts';

test('text is read as it was sent', () => {
  for (const text of ['', 'plain', 'äöü', '\ufeffwith a mark', '\u0000'])
    assert.equal(stringDeserializer(Buffer.from(text), 'log'), text);
});
