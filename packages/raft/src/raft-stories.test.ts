import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import { tellStory } from './testing/raft-story.ts';

const directory = new URL('../stories/', import.meta.url);

/** Written anew with UPDATE_STORIES=1: read what changed before it is committed. */
for (const name of readdirSync(directory).sort()) {
  const path = new URL(name, directory);
  const text = readFileSync(path, 'utf8');
  const [title] = text.split('\n');
  test(`story: ${title!.replace(/^# /, '')} (stories/${name})`, () => {
    const told = tellStory(text);
    if (process.env['UPDATE_STORIES']) writeFileSync(path, told);
    else assert.equal(told, text);
  });
}
