/**
 * A socket that costs its owner next to nothing: what arrives lands in one buffer, and each whole answer is shown where it lies.
 */
import { connect, type Socket } from 'node:net';

/** An answer lies in `bytes` from `start` (its correlation id) to `end`, and stays there for the duration of the call only. */
export type OnAnswer = (bytes: Buffer, start: number, end: number) => void;

export class RawConnection {
  /** All answers that came with one read have been shown. */
  onTurnEnd: () => void = () => {};
  onAnswer: OnAnswer = () => {};
  readonly #socket: Socket;
  #buffer = Buffer.allocUnsafeSlow(256 * 1024);
  /** `#buffer` holds what came and was not shown yet in [start, end). */
  #start = 0;
  #end = 0;
  readonly #failed: (error: Error) => void;
  #closing = false;

  /** `failed` hears of everything that ends the connection but `close`, and of what the callbacks throw. */
  static open(port: number, failed: (error: Error) => void): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const connection: RawConnection = new RawConnection(port, failed, () => resolve(connection), reject);
    });
  }

  private constructor(port: number, failed: (error: Error) => void, opened: () => void, refused: (error: Error) => void) {
    this.#failed = failed;
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: () => this.#room(),
        callback: (length) => {
          this.#received(length);
          return true;
        },
      },
    });
    let isOpen = false;
    this.#socket.once('connect', () => {
      isOpen = true;
      opened();
    });
    this.#socket.on('error', (error) => (isOpen ? this.#fail(error) : refused(error)));
    this.#socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** The bytes must not change until an answer says that they arrived. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #room(): Buffer {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const wanted = this.#end >= 4 ? this.#buffer.readInt32BE(0) + 4 : 0;
    if (wanted > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#end);
      this.#buffer = grown;
    }
    return this.#buffer.subarray(this.#end);
  }

  #received(length: number): void {
    try {
      this.#end += length;
      while (this.#end - this.#start >= 4) {
        const next = this.#start + 4 + this.#buffer.readInt32BE(this.#start);
        if (next > this.#end) break;
        this.onAnswer(this.#buffer, this.#start + 4, next);
        this.#start = next;
      }
      this.onTurnEnd();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.close();
    this.#failed(error);
  }
}
