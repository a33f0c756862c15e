export type Address = { readonly host: string; readonly port: number };

/** A connected byte stream. One owner sets `onData` and `onClose` right after it gets the socket, in the same turn. */
export interface Socket {
  readonly remote: Address;
  readonly local: Address;
  /** Receives each chunk. Its bytes are valid during the call only: afterwards other chunks, of any socket, come into the same memory. */
  onData: (chunk: Uint8Array) => void;
  /** Called once, after the last data: `error` says why if the end was not orderly. */
  onClose: (error?: Error) => void;
  /** Called when `write` returned false and the queue has emptied since. */
  onDrain: () => void;
  /**
   * Queues the parts in order in one call; they must not change until sent. False: the queue is long, wait for `onDrain`.
   * `onSent` is called once, in a later turn, when nobody looks at the parts any more: the system has taken them, or the connection
   * is gone without.
   */
  write(parts: readonly Uint8Array[], onSent?: () => void): boolean;
  /** Bytes queued and not yet handed to the system. */
  readonly queuedBytes: number;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once; what is queued is lost. */
  destroy(): void;
}

export interface Listener {
  /** The port is the real one also when 0 was asked for. */
  readonly address: Address;
  /** Stops accepting; open sockets stay. */
  close(): Promise<void>;
}

export interface Network {
  /** Rejects with IoError (EADDRINUSE …). Accepted sockets come paused until `onData` is set and the accepting call returned. */
  listen(address: Address, onSocket: (socket: Socket) => void): Promise<Listener>;
  /** Rejects with IoError (ECONNREFUSED, ETIMEDOUT …). */
  connect(address: Address, options?: { timeoutMs?: number }): Promise<Socket>;
}
