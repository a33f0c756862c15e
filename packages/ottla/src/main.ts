import { createRequire } from 'node:module';
import process from 'node:process';
import { Command } from 'commander';
import { startCommand } from './commands/start.ts';
import { storageCommand } from './commands/storage.ts';
import { refusalText } from './refusal.ts';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const program = new Command('ottla')
  .description("Apache Kafka's platform in TypeScript. Each command has its own --help.")
  .version(version)
  .showHelpAfterError('(add --help for what is possible)')
  .addCommand(startCommand())
  .addCommand(storageCommand());

try {
  await program.parseAsync(process.argv);
} catch (error) {
  console.error(refusalText(error));
  process.exit(1);
}
