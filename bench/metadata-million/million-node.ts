import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, run } from '../../test/interop/processes.ts';
import { cpuSeconds, memoryMiB } from '../broker/process-usage.ts';
import { publishedCommand } from '../broker/published-command.ts';
import { shippedKafka } from '../broker/shipped-kafka.ts';

export type Target = 'ottla' | 'kafka';

const clusterId = '4L6g3nShT-eMCtK--X86sw';

/** A node with a directory of its own. */
export class MillionNode implements AsyncDisposable {
  readonly port: number;
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #beganMs = performance.now();

  /** `prepare` is given the directory of the metadata log. */
  static async start(
    target: Target,
    properties: (port: number) => string,
    prepare: (metadataLog: string) => void = () => {},
  ): Promise<MillionNode> {
    const directory = mkdtempSync(join(tmpdir(), `ottla-million-${target}-`));
    const port = await freePort();
    const propertiesFile = join(directory, 'server.properties');
    const metadataLog = join(directory, 'data', '__cluster_metadata-0');
    mkdirSync(metadataLog, { recursive: true });
    writeFileSync(propertiesFile, `${properties(port)}\nlog.dirs=${join(directory, 'data')}\n`);
    const program = await publishedCommand();
    run(process.execPath, [program, 'storage', 'format', '--cluster-id', clusterId, '--config', propertiesFile]);
    prepare(metadataLog);
    const command =
      target === 'ottla'
        ? [process.execPath, program, 'start', '--config', propertiesFile]
        : shippedKafka({ propertiesFile, directory }).map((arg) => arg.replace(/^-Xmx.*/, '-Xmx4g'));
    return new MillionNode(port, directory, command);
  }

  private constructor(port: number, directory: string, command: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    const output = openSync(join(directory, 'log'), 'a');
    this.#child = spawn(command[0]!, command.slice(1), { cwd: directory, stdio: ['ignore', output, output] });
  }

  get cpuSeconds(): number {
    return cpuSeconds(this.#child.pid!);
  }

  get memory(): string {
    const { resident, peak } = memoryMiB(this.#child.pid!);
    return `memory ${Math.round(resident)} MiB, at its peak ${Math.round(peak)} MiB`;
  }

  get log(): string {
    return readFileSync(join(this.#directory, 'log'), 'utf8');
  }

  /** Seconds from its start until `hasIt`, which may reject, for then nobody listens yet. */
  async until(hasIt: () => Promise<boolean>): Promise<string> {
    while (!(await hasIt().catch(() => false))) {
      if (this.#child.exitCode !== null || performance.now() - this.#beganMs > 300_000)
        throw new Error(`it did not start:\n${this.log.slice(-3000)}`);
      await sleep(50);
    }
    return `${((performance.now() - this.#beganMs) / 1000).toFixed(1)} s`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
