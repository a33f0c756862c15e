import { join } from 'node:path';
import type { File, Files, Logger } from '@ottla/runtime';

export type ClientMetricsFilesOptions = {
  readonly files: Files;
  readonly logger: Logger;
  readonly directory: string;
  readonly maxFileBytes: number;
  readonly maxFiles: number;
};

/**
 * Lines in files of one directory, which together stay bounded:
 *
 *   client-metrics.jsonl     lines are appended here
 *   client-metrics.1.jsonl   what it was before it grew too large; 2 is older, and so on
 *
 * They are not synced: a power failure may take the last ones. What cannot be written is dropped, and told once until something can.
 */
export class ClientMetricsFiles {
  readonly #options: ClientMetricsFilesOptions;
  #file: File | undefined;
  #size = 0;
  #dropped = 0;

  /** Throws IoError when the directory cannot be used. */
  constructor(options: ClientMetricsFilesOptions) {
    this.#options = options;
    options.files.makeDirectory(options.directory);
    this.#open();
  }

  append(line: string): void {
    const bytes = Buffer.from(line);
    try {
      this.#write(bytes);
      if (this.#dropped > 0) this.#options.logger.info('client metrics are written again', { dropped: this.#dropped });
      this.#dropped = 0;
    } catch (error) {
      if (this.#dropped++ === 0) this.#options.logger.warn('client metrics cannot be written, and are dropped', { error });
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #write(bytes: Uint8Array): void {
    const { maxFileBytes, logger } = this.#options;
    if (bytes.length > maxFileBytes) {
      logger.warn('client metrics that are larger than ottla.telemetry.file.bytes are dropped', { bytes: bytes.length });
      return;
    }
    if (!this.#file) this.#open();
    if (this.#size + bytes.length > maxFileBytes) this.#putAside();
    this.#file!.write(bytes, this.#size);
    this.#size += bytes.length;
  }

  #open(): void {
    const file = this.#options.files.open(this.#path(0), 'create');
    this.#file = file;
    this.#size = endOfLastLine(file);
    file.truncate(this.#size);
  }

  #putAside(): void {
    const { files, maxFiles } = this.#options;
    this.close();
    files.remove(this.#path(maxFiles - 1));
    for (let age = maxFiles - 2; age >= 0; age--)
      if (files.stat(this.#path(age))) files.rename(this.#path(age), this.#path(age + 1));
    this.#open();
  }

  #path(age: number): string {
    return join(this.#options.directory, age === 0 ? 'client-metrics.jsonl' : `client-metrics.${age}.jsonl`);
  }
}

/** A crash may leave half a line at the end. */
function endOfLastLine(file: File): number {
  const chunk = Buffer.alloc(64 * 1024);
  for (let end = file.size(); end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const read = file.read(chunk.subarray(0, end - start), start);
    const newline = chunk.subarray(0, read).lastIndexOf(0x0a);
    if (newline !== -1) return start + newline + 1;
    end = start;
  }
  return 0;
}
