/** A bare connection: whatever bytes one likes go out, and what comes back is cut at its size prefixes, or the end is noticed. */
import { connect, type Socket } from 'node:net';

/** `closed`: the broker ended the connection instead of answering; `silent`: it did neither in time. */
export type Reply = { readonly kind: 'answer'; readonly frame: Uint8Array } | { readonly kind: 'closed' | 'silent' };

export class Connection {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('error', end);
    socket.on('close', end);
  }

  static open(port: number, host = '127.0.0.1', patienceMs = 60_000): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host);
      const late = setTimeout(() => socket.destroy(new Error(`${host}:${port} is silent`)), patienceMs);
      socket.once('error', (error) => {
        clearTimeout(late);
        reject(error);
      });
      socket.once('connect', () => {
        clearTimeout(late);
        socket.removeAllListeners('error');
        resolve(new Connection(socket));
      });
    });
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Sends the bytes as they are. */
  write(bytes: Uint8Array): void {
    if (!this.#ended) this.#socket.write(bytes);
  }

  /** Sends them behind their size. */
  writeFrame(frame: Uint8Array): void {
    const size = Buffer.alloc(4);
    size.writeInt32BE(frame.length);
    this.write(Buffer.concat([size, frame]));
  }

  /** The next answer, without its size. */
  async reply(patienceMs: number): Promise<Reply> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      if (this.#received.length >= 4) {
        const end = 4 + this.#received.readInt32BE(0);
        if (this.#received.length >= end) {
          const frame = this.#received.subarray(4, end);
          this.#received = this.#received.subarray(end);
          return { kind: 'answer', frame };
        }
      }
      if (this.#ended) return { kind: 'closed' };
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) return { kind: 'silent' };
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#ended = true;
    this.#socket.destroy();
  }
}
