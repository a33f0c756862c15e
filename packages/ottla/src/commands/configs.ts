import { type Admin, type ConfigEntry, type ConfigResource, ItemsError } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { Argument, Command } from 'commander';
import { assignments } from '../terminal/arguments.ts';
import { type ClusterOptions, clusterCommand, withAdmin } from '../terminal/bootstrap-option.ts';
import { printJson, printLine } from '../terminal/output.ts';
import { table } from '../terminal/table.ts';

type Options = ClusterOptions & { readonly json?: boolean };

const kinds = ['topic', 'broker', 'group', 'broker-logger', 'client-metrics'] as const;

type Kind = (typeof kinds)[number];

export function configsCommand(): Command {
  const command = new Command('configs').description(
    'Settings of topics, brokers and groups that can be changed while the cluster runs.',
  );
  const onResource = (name: string): Command =>
    clusterCommand(command.command(name))
      .addArgument(new Argument('<kind>').choices(kinds))
      .argument('<name>', 'a topic, a broker\'s id or "default" for all brokers, a group');
  onResource('describe')
    .argument('[setting...]', 'only these')
    .description('The settings that were changed, or all.')
    .option('-a, --all', 'also those that have their default')
    .option('-d, --docs', 'say what each is for')
    .addHelpText(
      'after',
      `
Examples:
  ottla configs describe topic greetings --all
  ottla configs describe topic greetings retention.ms --docs
  ottla configs describe broker default

SOURCE is where the value in force was set: topic, group, broker (this one), default-broker (all of them), static-broker
(server.properties), or default.`,
    )
    .action(describe);
  onResource('set')
    .argument('<setting=value...>')
    .description('Change settings, and leave the others as they are. Lists take commas: cleanup.policy=compact,delete')
    .addHelpText(
      'after',
      `
Examples:
  ottla configs set topic greetings retention.ms=86400000
  ottla configs set broker default log.retention.ms=604800000
  ottla configs set group mailers consumer.session.timeout.ms=60000`,
    )
    .action(set);
  onResource('unset').argument('<setting...>').description('Back to the default.').action(unset);
  return command;
}

type DescribeOptions = Options & { readonly all?: boolean; readonly docs?: boolean };

async function describe(kind: Kind, name: string, names: readonly string[], options: DescribeOptions): Promise<void> {
  const resource = resourceOf(kind, name);
  const isPicked = names.length > 0;
  const described = await withAdmin(options, (admin) =>
    describeExisting(admin, resource, { names: isPicked ? names : undefined, documentation: options.docs }),
  );
  requireKnown(kind, name, names, described);
  const configs = described.filter((config) => options.all || isPicked || isSetOn(resource, config));
  if (options.json) await printJson(configs);
  else if (configs.length === 0) await printLine(`Nothing was changed for ${kind} ${name}. All settings: --all`);
  else if (options.docs) await printLine(configs.map(documented).join('\n\n'));
  else
    await printLine(
      table(
        ['SETTING', 'VALUE', 'SOURCE'],
        configs.map((config) => [config.name, shownValue(config), config.source]),
      ),
    );
}

/** Describes, or says what is missing. */
async function describeExisting(
  admin: Admin,
  resource: ConfigResource,
  options: Parameters<Admin['describeConfigs']>[1],
): Promise<readonly ConfigEntry[]> {
  try {
    return (await admin.describeConfigs([resource], options))[0]!.configs;
  } catch (error) {
    if (!(error instanceof ItemsError) || error.name !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
    throw new KafkaError(error.name, `there is no topic ${resource.name}: "ottla topics list" shows those there are`);
  }
}

function requireKnown(kind: Kind, name: string, names: readonly string[], configs: readonly ConfigEntry[]): void {
  const known = new Set(configs.map((config) => config.name));
  const unknown = names.filter((one) => !known.has(one));
  if (unknown.length > 0) {
    throw new KafkaError(
      'INVALID_CONFIG',
      `${kind} ${name} has no setting ${unknown.join(', ')}: "ottla configs describe ${kind} ${name} --all" shows those it has`,
    );
  }
}

/** As kafka-configs shows them: what was set for just this resource. */
function isSetOn({ type, name }: ConfigResource, { source }: ConfigEntry): boolean {
  if (type === 'broker') return name === '' ? source === 'default-broker' : source === 'broker' || source === 'default-broker';
  if (type === 'brokerLogger') return source === 'broker-logger';
  return source === type || source === 'client-metrics';
}

function shownValue({ value, isSensitive }: ConfigEntry): string | null {
  return isSensitive ? '(hidden)' : value;
}

function documented(config: ConfigEntry): string {
  return `${config.name} = ${shownValue(config) ?? ''} (${config.source})\n  ${config.documentation ?? ''}`;
}

async function set(kind: Kind, name: string, settings: readonly string[], options: Options): Promise<void> {
  const values = assignments(settings);
  await withAdmin(options, (admin) => admin.incrementalAlterConfigs([{ ...resourceOf(kind, name), set: values }]));
  await report(kind, name, Object.keys(values), 'set', options);
}

async function unset(kind: Kind, name: string, settings: readonly string[], options: Options): Promise<void> {
  const resource = resourceOf(kind, name);
  await withAdmin(options, async (admin) => {
    // Brokers take away what was never there without a word.
    requireKnown(kind, name, settings, await describeExisting(admin, resource, { names: settings }));
    await admin.incrementalAlterConfigs([{ ...resource, unset: settings }]);
  });
  await report(kind, name, settings, 'unset', options);
}

async function report(kind: Kind, name: string, settings: readonly string[], what: string, options: Options): Promise<void> {
  if (options.json) await printJson({ kind, name, [what]: settings });
  else await printLine(`${what} ${settings.join(', ')} of ${kind} ${name}`);
}

function resourceOf(kind: Kind, name: string): ConfigResource {
  const type = kind === 'broker-logger' ? 'brokerLogger' : kind === 'client-metrics' ? 'clientMetrics' : kind;
  return { type, name: kind === 'broker' && name === 'default' ? '' : name };
}
