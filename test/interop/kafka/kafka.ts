/**
 * Apache Kafka itself: its jars from Maven Central, and the commands that start its server, its Java clients and its tools.
 * The release stands in pom.xml. Under the interop home:
 *
 *   kafka-<release>/libs/*.jar              all jars
 *   kafka-<release>/log4j2.properties       the server's log goes to standard output
 *   kafka-<release>/java-client/<hash>.jar  clients/*.java, compiled
 *   kafka-<release>/{server,client}.jsa     class data archives: a JVM starts in about half the time
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { interopDirectory, interopHome } from '../home.ts';
import { runAlong } from '../processes.ts';

const pom = join(interopDirectory, 'kafka', 'pom.xml');
export const kafkaRelease = /<kafka\.version>(.+)<\/kafka\.version>/.exec(readFileSync(pom, 'utf8'))![1]!;
const home = join(interopHome, `kafka-${kafkaRelease}`);
const libs = join(home, 'libs');
const quickJvm = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData', '-Djava.awt.headless=true'];

/** `archive`: 'use' the class data archive where there is one, or 'record' it when this JVM exits. */
type Archive = 'use' | 'record';

/** The command line, after `java`, of a Kafka server. */
export function serverCommand(properties: string, logsDirectory: string, archive: Archive = 'use'): string[] {
  return [
    '-Xms48m',
    '-Xmx384m',
    ...quickJvm,
    ...archiveOptions('server', archive),
    `-Dkafka.logs.dir=${logsDirectory}`,
    `-Dlog4j2.configurationFile=${join(home, 'log4j2.properties')}`,
    '-cp',
    classpath('log4j') + delimiter + javaClientJar(),
    'kafka.Kafka',
    properties,
  ];
}

/** The command line, after `java`, of any other program among Kafka's classes. */
export function programCommand(mainClass: string, args: readonly string[], archive: Archive = 'use'): string[] {
  return [
    '-Xmx256m',
    ...quickJvm,
    ...archiveOptions('client', archive),
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=[yyyy-MM-dd HH:mm:ss]',
    '-cp',
    classpath('simple') + delimiter + javaClientJar(),
    mainClass,
    ...args,
  ];
}

export async function installKafka(): Promise<void> {
  const list = join(libs, 'pom.xml');
  if (existsSync(list) && readFileSync(list, 'utf8') === readFileSync(pom, 'utf8')) return;
  console.error(`interop: fetching Apache Kafka ${kafkaRelease} with Maven`);
  mkdirSync(home, { recursive: true });
  const partial = mkdtempSync(join(home, 'fetching-'));
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${partial}`];
  await runAlong('mvn', ['-B', '-q', '-Dstyle.color=never', '-f', pom, ...goal]);
  writeFileSync(
    join(home, 'log4j2.properties'),
    `rootLogger.level=INFO
rootLogger.appenderRef.stdout.ref=STDOUT
appender.console.type=Console
appender.console.name=STDOUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
`,
  );
  copyFileSync(pom, join(partial, 'pom.xml'));
  rmSync(libs, { recursive: true, force: true });
  renameSync(partial, libs);
  for (const kind of ['server', 'client'] as const) rmSync(archiveFile(kind), { force: true });
}

export async function compileJavaClient(): Promise<void> {
  const target = javaClientJar();
  if (existsSync(target)) return;
  const classes = mkdtempSync(join(tmpdir(), 'ottla-javac-'));
  await runAlong('javac', [
    '-J-XX:TieredStopAtLevel=1',
    '-nowarn',
    '-d',
    classes,
    '-cp',
    classpath('simple'),
    ...javaClientSources,
  ]);
  mkdirSync(join(home, 'java-client'), { recursive: true });
  await runAlong('jar', ['--create', '--file', target, '-C', classes, '.']); // class data archives know jars only
  rmSync(classes, { recursive: true });
  rmSync(archiveFile('client'), { force: true });
}

export function archiveFile(kind: 'server' | 'client'): string {
  return join(home, `${kind}.jsa`);
}

function archiveOptions(kind: 'server' | 'client', archive: Archive): string[] {
  const file = archiveFile(kind);
  if (archive === 'record') return [`-XX:ArchiveClassesAtExit=${file}`, '-Xlog:disable', '-Xlog:all=error:stderr'];
  return existsSync(file) ? [`-XX:SharedArchiveFile=${file}`, '-Xshare:auto', '-Xlog:disable', '-Xlog:all=error:stderr'] : [];
}

const javaClientSources = globSync(join(interopDirectory, 'clients', '*.java')).sort();

function javaClientJar(): string {
  const hash = createHash('sha256');
  for (const source of javaClientSources) hash.update(readFileSync(source));
  return join(home, 'java-client', `${hash.digest('hex').slice(0, 16)}.jar`);
}

/** All jars with one of the two slf4j bindings. */
function classpath(binding: 'log4j' | 'simple'): string {
  const other = binding === 'log4j' ? 'slf4j-simple-' : 'log4j-slf4j-impl-';
  const jars = readdirSync(libs).filter((name) => name.endsWith('.jar') && !name.startsWith(other));
  return jars
    .sort()
    .map((name) => join(libs, name))
    .join(delimiter);
}
