import process from 'node:process';
import { formatDirectories, randomUuid, storageInfo } from '@ottla/broker';
import { type ParsedBrokerConfig, parseBrokerConfig } from '@ottla/metadata';
import { type Files, nodeRuntime } from '@ottla/runtime';
import { Command } from 'commander';

type ConfigOption = { config: string };

type FormatCommandOptions = ConfigOption & {
  clusterId: string;
  standalone?: boolean;
  initialControllers?: string;
  /** Commander's form of --no-initial-controllers. */
  noInitialControllers?: boolean;
  ignoreFormatted?: boolean;
  releaseVersion?: string;
  feature: string[];
  addScram: string[];
};

const collect = (value: string, all: string[]): string[] => [...all, value];

export function storageCommand(): Command {
  const command = new Command('storage').description(
    'Prepare the directories of a node, and look at them: kafka-storage.sh with the same options.',
  );
  command
    .command('random-uuid')
    .description('Print a fresh id for a cluster or a directory.')
    .action(() => console.log(randomUuid(nodeRuntime().random)));
  command
    .command('info')
    .description(
      'Say whether the directories that a server.properties names are formatted, and for whom. Ends with status 1 if anything is wrong.',
    )
    .requiredOption('-c, --config <file>', 'the server.properties')
    .action(({ config }: ConfigOption) => {
      const { files } = nodeRuntime();
      const { lines, hasProblems } = storageInfo(files, parsedConfig(files, config).config);
      for (const line of lines) console.log(line);
      if (hasProblems) process.exitCode = 1;
    });
  command
    .command('format')
    .description('Write what a node must find before its first start: meta.properties, the first features, and the first voters.')
    .requiredOption('-c, --config <file>', 'the server.properties')
    .requiredOption('-t, --cluster-id <uuid>', 'the same on all nodes of a cluster; "ottla storage random-uuid" makes one')
    .option('-s, --standalone', 'a quorum of this controller alone')
    .option('-I, --initial-controllers <id@host:port:directory,...>', 'the first voters of the quorum')
    .option('-N, --no-initial-controllers', 'this node joins a quorum that exists')
    .option('-g, --ignore-formatted', 'leave directories alone that are formatted already')
    .option('-r, --release-version <version>', 'the metadata.version to begin with, such as 4.0 (default: the latest)')
    .option('-f, --feature <name=level>', 'a feature level to begin with; may be repeated', collect, [])
    .option('-S, --add-scram <MECHANISM=[name=...,password=...]>', 'a user to begin with; may be repeated', collect, [])
    .addHelpText(
      'after',
      `
Example:
  ottla storage format --config server.properties --cluster-id "$(ottla storage random-uuid)" --standalone`,
    )
    .action((options: Omit<FormatCommandOptions, 'initialControllers'> & { initialControllers?: string | boolean }) => {
      const { files, random, clock } = nodeRuntime();
      const { initialControllers } = options;
      const lines = formatDirectories({
        ...parsedConfig(files, options.config),
        files,
        random,
        nowMs: clock.nowMs(),
        clusterId: options.clusterId,
        standalone: options.standalone,
        initialControllers: typeof initialControllers === 'string' ? initialControllers : undefined,
        noInitialControllers: initialControllers === false,
        ignoreFormatted: options.ignoreFormatted,
        releaseVersion: options.releaseVersion,
        features: options.feature,
        addScram: options.addScram,
      });
      for (const line of lines) console.log(line);
    });
  return command;
}

function parsedConfig(files: Files, path: string): ParsedBrokerConfig {
  return parseBrokerConfig(new TextDecoder().decode(files.readFile(path)));
}
