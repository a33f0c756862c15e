/** Kafka's command-line tools, as transcripts (transcript.ts). */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { interopDirectory } from './home.ts';
import { againstEachTarget } from './targets/against.ts';
import { expectTranscript } from './transcript.ts';

const recording = process.env['INTEROP_RECORD'] === '1';

for (const file of globSync(join(interopDirectory, 'java-tools', '*.txt')).sort()) {
  againstEachTarget(basename(file, '.txt'), (bench) => expectTranscript(file, bench, recording));
}
