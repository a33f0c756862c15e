/** A load in a process of its own: its description as JSON in the first argument, its result as JSON on standard output. */
import process from 'node:process';
import { type ProduceLoad, produceLoad } from './produce-load.ts';

const [kind, description] = process.argv.slice(2);
const load: unknown = JSON.parse(description!);
if (kind !== 'produce') throw new Error(`no load ${kind}`);
process.stdout.write(JSON.stringify(await produceLoad(load as ProduceLoad)));
