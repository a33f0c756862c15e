import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { brokerConfigs, type ConfigTable, groupConfigs, topicConfigs } from '@ottla/metadata';

/** What holds or reads the tables: a name in there does not show that anything acts on it. */
const tables =
  /metadata\/src\/configs\/(broker\/|vectors|topic-configs|group-configs|client-metrics-configs|validate|describe|config-layers|broker-configs)/;

/** All sources that make up a node, tests and tables left out. */
function sources(): string {
  const packages = new URL('../../', import.meta.url).pathname;
  const texts: string[] = [];
  for (const name of ['broker', 'coordinator', 'metadata', 'network', 'raft', 'storage']) {
    for (const file of readdirSync(`${packages}${name}/src`, { recursive: true, encoding: 'utf8' })) {
      const path = `${packages}${name}/src/${file}`;
      if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.includes('testing') || tables.test(path)) continue;
      texts.push(readFileSync(path, 'utf8'));
    }
  }
  return texts.join('\n');
}

const code = sources();
const isNamed = (name: string): boolean => code.includes(`'${name}'`) || code.includes(`topic.${name}`);

const honoured = (table: ConfigTable): string[] => Object.keys(table).filter((name) => table[name]!.honoured === true);

test('every topic config that counts as honoured is named in the code', () => {
  assert.deepEqual(
    honoured(topicConfigs as ConfigTable).filter((name) => !isNamed(name)),
    [],
  );
});

test('every broker config that counts as honoured is named in the code, or is what a topic or group gets when it has none', () => {
  const owners = [...Object.values(topicConfigs as ConfigTable), ...Object.values(groupConfigs as ConfigTable)];
  const reachesOwners = (name: string) => owners.some(({ broker, honoured }) => honoured === true && broker.includes(name));
  /** The bounds of `group.consumer.session.timeout.ms` have its name with `min` and `max` in it. */
  const bounds = (name: string) => reachesOwners(name.replace(/^(group\.[a-z]+)\.(min|max)\./, '$1.'));
  assert.deepEqual(
    honoured(brokerConfigs as ConfigTable).filter((name) => !isNamed(name) && !reachesOwners(name) && !bounds(name)),
    [],
  );
});

test('every group config that counts as honoured is named in the code', () => {
  assert.deepEqual(
    honoured(groupConfigs as ConfigTable).filter((name) => !isNamed(name)),
    [],
  );
});

test('a broker config counts as honoured like the topic config that it stands for', () => {
  const all = brokerConfigs as ConfigTable;
  const unlike = Object.entries(topicConfigs as ConfigTable).flatMap(([topic, definition]) =>
    definition.broker.filter((name) => all[name]!.honoured !== definition.honoured).map((name) => `${name} and ${topic}`),
  );
  assert.deepEqual(unlike, []);
});
