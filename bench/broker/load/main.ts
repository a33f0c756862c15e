/** A load in a process of its own: its description as JSON in the first argument, its result as JSON on standard output. */
import process from 'node:process';
import { fetchLoad } from './fetch-load.ts';
import { followLoad } from './follow-load.ts';
import { produceLoad } from './produce-load.ts';

const loads = { produce: produceLoad, fetch: fetchLoad, follow: followLoad };
export type Loads = typeof loads;

const [kind, description] = process.argv.slice(2);
const load = loads[kind as keyof Loads] as (load: unknown) => Promise<unknown>;
process.stdout.write(JSON.stringify(await load(JSON.parse(description!))));
