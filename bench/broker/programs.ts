/** Clients that are not ours: started, waited for, and their output given. */
import { spawn, spawnSync } from 'node:child_process';
import { programCommand as quickProgramCommand } from '../../test/interop/kafka/kafka.ts';

/** The command line, after `java`, of one of Kafka's programs with the JVM options of its own start script. */
export function programCommand(mainClass: string, args: readonly string[]): string[] {
  const command = quickProgramCommand(mainClass, args);
  const begin = command.findIndex((arg) => arg.startsWith('-D') && arg.includes('slf4j'));
  return ['-Xmx512m', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', ...command.slice(begin)];
}

/** Standard output to the end; rejects with the complaint of one that fails. */
export function runProgram(command: string, args: readonly string[], timeoutMs = 120_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0) resolve(output);
      else reject(new Error(`${command} ended with ${status ?? signal}\n${complaint}${output}`));
    });
  });
}

export function isInstalled(command: string, versionArgument: string): boolean {
  return spawnSync(command, [versionArgument], { stdio: 'ignore' }).status === 0;
}
