/** Kafka's command-line tools, as transcripts (transcript.ts). */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { interopDirectory } from './home.ts';
import { againstEachTarget } from './targets/against.ts';
import { expectTranscript } from './transcript.ts';

const recording = process.env['INTEROP_RECORD'] === '1';
/** INTEROP_TRANSCRIPTS=groups,topics: only those. */
const chosen = process.env['INTEROP_TRANSCRIPTS']?.split(',');

for (const file of globSync(join(interopDirectory, 'java-tools', '*.txt')).sort()) {
  const name = basename(file, '.txt');
  if (chosen && !chosen.includes(name)) continue;
  againstEachTarget(name, (bench) => expectTranscript(file, bench, recording));
}
