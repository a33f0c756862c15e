import { dynamicQuotaConfigs } from './broker/dynamic-quota-configs.ts';
import { brokerConfigs } from './broker-configs.ts';
import { clientMetricsConfigs } from './client-metrics-configs.ts';
import { defaultText } from './config-value.ts';
import type { ConfigDefinition, ConfigTable } from './define-configs.ts';
import { groupConfigs } from './group-configs.ts';
import { topicConfigs } from './topic-configs.ts';

const sections: readonly { readonly title: string; readonly about: string; readonly table: ConfigTable }[] = [
  {
    title: 'Broker and controller',
    about: 'In server.properties. The scope says whether the value can change while the broker runs, and for whom.',
    table: { ...brokerConfigs, ...dynamicQuotaConfigs } as ConfigTable,
  },
  {
    title: 'Topic',
    about: 'Set when a topic is created, or later. Without a value the broker config in the last column holds.',
    table: topicConfigs as ConfigTable,
  },
  { title: 'Group', about: 'Set for a consumer, share or streams group.', table: groupConfigs as ConfigTable },
  { title: 'Client metrics', about: 'Set for a subscription to client metrics.', table: clientMetricsConfigs as ConfigTable },
];

/** The page docs/configs.md: every name Kafka 4.3.1 knows, and whether Ottla acts on it. */
export function configReference(): string {
  const parts = sections.map(({ title, about, table }) => {
    const names = Object.keys(table).sort();
    const honoured = names.filter((name) => table[name]!.honoured === true).length;
    const moot = names.filter((name) => table[name]!.honoured === 'moot').length;
    const others = moot === 0 ? '' : `, ${moot} more have no meaning here`;
    const rows = names.map((name) => row(name, table[name]!));
    return `## ${title}\n\n${about} ${honoured} of ${names.length} are honoured${others}.\n\n| name | type | default | valid | scope | honoured | what it does |\n| --- | --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `# Configs

Every config name of Apache Kafka 4.3.1 is known here: its value is read and checked as Kafka does. What Ottla does not act on yet is
marked "not yet", and setting it logs a warning. What says "no meaning here" has nothing to act on, by design: setting it changes
nothing and need not worry anybody. Names that begin with \`ottla.\` are Ottla's own, and Kafka does not know them. This page is printed by \`packages/metadata/scripts/config-reference.ts\`.

${parts.join('\n')}`;
}

function row(name: string, definition: ConfigDefinition): string {
  const text = definition.required ? '(required)' : defaultText(definition);
  const shown = text === null ? '(none)' : text === '' ? '(empty)' : `\`${text}\``;
  const internal = definition.internal ? ' (internal)' : '';
  const scope = definition.broker.length > 0 ? definition.broker.map((each) => `\`${each}\``).join(', ') : definition.dynamic;
  const inPart = definition.idleValues.length > 0 ? `in part: not ${definition.idleValues.join(', ')}` : 'yes';
  const honoured = { true: inPart, moot: 'no meaning here', false: 'not yet' }[`${definition.honoured}`];
  return `| \`${name}\`${internal} | ${definition.type} | ${shown} | ${valid(definition)} | ${scope} | ${honoured} | ${definition.doc} |`;
}

function valid({ min, max, orEqualTo, oneOf, nonEmpty }: ConfigDefinition): string {
  if (oneOf) return oneOf.join(', ');
  const range = [min === undefined ? '' : `at least ${min}`, max === undefined ? '' : `at most ${max}`]
    .filter((each) => each !== '')
    .join(', ');
  if (orEqualTo !== undefined) return `${range}, or ${orEqualTo}`;
  return range || (nonEmpty ? 'not empty' : '');
}
