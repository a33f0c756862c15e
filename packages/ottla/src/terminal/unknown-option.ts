import type { Command } from 'commander';

type Hint = (command: Command) => string | undefined;

/** What Kafka's tools call things that are called otherwise here, or need no option. */
const kafkasNames: Readonly<Record<string, Hint>> = {
  '--bootstrap-servers': meaning('--bootstrap'),
  '--bootstrap-controller': meaning('--bootstrap'),
  '--broker-list': meaning('--bootstrap'),
  '--zookeeper': meaning('--bootstrap'),
  '--replicas': meaning('--replication-factor'),
  '--num-partitions': meaning('--partitions'),
  '--property': (command) =>
    command.name() === 'produce' ? 'Did you mean --key-separator?' : 'Did you mean --keys, --headers, --offsets or --timestamps?',
  '--formatter-property': meaning('--keys, --headers, --offsets or --timestamps'),
  '--reader-property': meaning('--key-separator'),
  '--topic': withoutOption,
  '--group': withoutOption,
  '--entity-type': withoutOption,
  '--entity-name': withoutOption,
  '--add-config': () => 'Settings are changed by "ottla configs set".',
  '--delete-config': () => 'Settings are taken back by "ottla configs unset".',
};

/** What somebody may mean who types an option that the command does not have, as a sentence; nothing when nobody can tell. */
export function hintFor(command: Command, option: string): string | undefined {
  const path = pathOf(command);
  const named = [...command.commands, ...(command.parent?.commands ?? [])].find((each) => `--${each.name()}` === option);
  if (named) return `It is "${pathOf(named)}", without dashes.`;
  const behind = command.commands.filter((each) => has(each, option)).map((each) => each.name());
  if (behind.length > 0) return `It comes behind what is to be done: ${path} ${behind.join('|')} ${option} ...`;
  if (!command.parent && bootstrapNames.includes(option)) return `It comes behind the command: ${path} topics list ${option} ...`;
  const known = kafkasNames[option]?.(command);
  if (known) return known;
  const alike = ownOptions(command).filter((own) => wordsOf(own).some((word) => wordsOf(option).includes(word)));
  return alike.length > 0 ? `Did you mean ${alike.join(' or ')}?` : undefined;
}

const bootstrapNames = ['--bootstrap', '--bootstrap-server', '-b'];

function meaning(names: string): Hint {
  return () => `Did you mean ${names}?`;
}

function withoutOption(command: Command): string | undefined {
  const usage = command.registeredArguments.map((argument) => {
    const shown = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${shown}>` : `[${shown}]`;
  });
  const subcommands = command.commands.map((each) => each.name());
  if (subcommands.length > 0) return `Say first what is to be done: ${pathOf(command)} ${subcommands.join('|')}`;
  return usage.length > 0 ? `It needs no option: ${pathOf(command)} ${usage.join(' ')}` : undefined;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

const has = (command: Command, option: string): boolean =>
  command.options.some(({ long, short }) => [long, short].includes(option));

const ownOptions = (command: Command): string[] =>
  command.options.filter(({ hidden }) => !hidden).flatMap(({ long }) => long ?? []);

const wordsOf = (option: string): string[] => option.split('-').filter((word) => word.length > 2);
