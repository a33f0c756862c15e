import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configReference } from './config-reference.ts';

test('docs/configs.md is what the tables say: run packages/metadata/scripts/config-reference.ts after changing one', () => {
  const page = readFileSync(new URL('../../../../docs/configs.md', import.meta.url), 'utf8');
  assert.equal(page, configReference());
});
