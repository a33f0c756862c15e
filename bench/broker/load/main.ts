/** A load in a process of its own: its description as JSON in the first argument, its result as JSON on standard output. */
import process from 'node:process';
import { classicGroupsLoad } from '../../coordinators/load/classic-groups-load.ts';
import { consumerGroupsLoad } from '../../coordinators/load/consumer-groups-load.ts';
import { exactlyOnceLoad } from '../../coordinators/load/exactly-once-load.ts';
import { largeGroupLoad } from '../../coordinators/load/large-group-load.ts';
import { shareLoad } from '../../coordinators/load/share-load.ts';
import { transactionsLoad } from '../../coordinators/load/transactions-load.ts';
import { fetchLoad } from './fetch-load.ts';
import { followLoad } from './follow-load.ts';
import { produceLoad } from './produce-load.ts';

const loads = {
  ...{ produce: produceLoad, fetch: fetchLoad, follow: followLoad },
  ...{ classicGroups: classicGroupsLoad, consumerGroups: consumerGroupsLoad, largeGroup: largeGroupLoad },
  ...{ transactions: transactionsLoad, exactlyOnce: exactlyOnceLoad, share: shareLoad },
};
export type Loads = typeof loads;

const [kind, description] = process.argv.slice(2);
const load = loads[kind as keyof Loads] as (load: unknown) => Promise<unknown>;
process.stdout.write(JSON.stringify(await load(JSON.parse(description!))));
