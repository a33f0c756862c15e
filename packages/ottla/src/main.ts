import { createRequire } from 'node:module';
import process from 'node:process';
import { Command } from 'commander';
import { refusalText } from './refusal.ts';
import { hintFor } from './terminal/unknown-option.ts';

type Entry = { readonly summary: string; readonly load: () => Promise<Command> };

/** Only the command that is asked for is loaded: `ottla start` shall not wait for what it does not use. */
const commands: Readonly<Record<string, Entry>> = {
  start: {
    summary: 'run a node: a broker and the controller of a cluster',
    load: async () => (await import('./commands/start.ts')).startCommand(),
  },
  storage: {
    summary: 'prepare the directories of a node, and look at them',
    load: async () => (await import('./commands/storage.ts')).storageCommand(),
  },
  topics: {
    summary: 'list, create, describe, alter and delete topics',
    load: async () => (await import('./commands/topics.ts')).topicsCommand(),
  },
  produce: {
    summary: 'send records to a topic',
    load: async () => (await import('./commands/produce.ts')).produceCommand(),
  },
  consume: {
    summary: 'print the records of a topic',
    load: async () => (await import('./commands/consume.ts')).consumeCommand(),
  },
  groups: {
    summary: 'list, describe and delete consumer groups, and reset their offsets',
    load: async () => (await import('./commands/groups.ts')).groupsCommand(),
  },
  configs: {
    summary: 'describe and change settings of topics, brokers and groups',
    load: async () => (await import('./commands/configs.ts')).configsCommand(),
  },
};

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const program = new Command('ottla')
  .description("Apache Kafka's platform in TypeScript. Each command has its own --help.")
  .version(version)
  .showHelpAfterError('(add --help for what is possible)');
tellWithHints(program);

const asked = process.argv[2] === 'help' ? process.argv[3] : process.argv[2];
for (const [name, { summary, load }] of Object.entries(commands)) {
  const command = name === asked ? await load() : new Command(name);
  program.addCommand(inherit(command.summary(summary), program));
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  console.error(refusalText(error));
  process.exit(1);
}

/** Commander hands settings down only to commands that are made after them. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  tellWithHints(command);
  for (const child of command.commands) inherit(child, command);
  return command;
}

function tellWithHints(command: Command): void {
  command.configureOutput({
    outputError: (text, write) => {
      const option = /^error: unknown option '(.*)'\n$/.exec(text)?.[1];
      const hint = option === undefined ? undefined : hintFor(command, option);
      write(`${text.replace(/^error: /, 'ottla: ')}${hint ? `(${hint})\n` : ''}`);
    },
  });
}
