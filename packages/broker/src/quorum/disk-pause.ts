import { KafkaError } from '@ottla/protocol';
import { IoError, type Runtime } from '@ottla/runtime';
import { diskFaultOf } from '@ottla/storage';

/** How long a full disk is left alone before it is tried again. */
const shortestPauseMs = 500;
const longestPauseMs = 4_000;

/** A disk that took nothing, and is left alone for a while: longer each time. */
export class DiskPause {
  readonly #runtime: Pick<Runtime, 'clock' | 'logger'>;
  readonly #directory: string;
  #pause: { readonly error: IoError; readonly untilMs: number; readonly pauseMs: number } | undefined;

  constructor(runtime: Pick<Runtime, 'clock' | 'logger'>, directory: string) {
    this.#runtime = runtime;
    this.#directory = directory;
  }

  /** The disk is full, and was so a moment ago: it is not tried with every request. */
  get isOn(): boolean {
    return this.#pause !== undefined && this.#runtime.clock.nowMs() < this.#pause.untilMs;
  }

  /** What whoever wanted something written is told. */
  get refusal(): KafkaError {
    const { error } = this.#pause!;
    return new KafkaError('KAFKA_STORAGE_ERROR', `the metadata log cannot be written: ${error.message}`, { cause: error });
  }

  begin(error: IoError): void {
    const { clock, logger } = this.#runtime;
    if (!this.#pause)
      logger.error('the disk of the metadata log is full: what would change the cluster is refused until there is room', {
        directory: this.#directory,
        error,
      });
    const pauseMs = Math.min((this.#pause?.pauseMs ?? shortestPauseMs / 2) * 2, longestPauseMs);
    this.#pause = { error, pauseMs, untilMs: clock.nowMs() + pauseMs };
  }

  end(): void {
    if (this.#pause) this.#runtime.logger.info('the metadata log is written again', { directory: this.#directory });
    this.#pause = undefined;
  }
}

/** The disk is full, but not broken. */
export const isFull = (error: unknown): error is IoError => error instanceof IoError && diskFaultOf(error) !== 'failed';
