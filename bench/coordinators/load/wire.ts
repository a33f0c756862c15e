import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Api,
  errorName,
  FindCoordinator,
  Reader,
  readResponseHeader,
  type Writable,
  Writer,
  writeRequestHeader,
} from '@ottla/protocol';
import { RawConnection } from '../../broker/load/raw-connection.ts';

/** A raw connection that speaks by codec: a request at any time, the answers in their order. */
export class Wire {
  readonly #connection: RawConnection;
  readonly #waiting: ((reader: Reader) => void)[] = [];
  #asked = 0;

  static async open(port: number, failed: (error: Error) => void): Promise<Wire> {
    return new Wire(await RawConnection.open(port, failed));
  }

  /** So many, all open. */
  static async openMany(port: number, count: number, failed: (error: Error) => void): Promise<Wire[]> {
    const wires: Wire[] = [];
    // A few at a time: a listener's queue of connections that wait to be accepted is short.
    for (let index = 0; index < count; index += 20) {
      wires.push(...(await Promise.all(Array.from({ length: Math.min(20, count - index) }, () => Wire.open(port, failed)))));
    }
    return wires;
  }

  private constructor(connection: RawConnection) {
    this.#connection = connection;
    connection.onAnswer = (bytes, start, end) => {
      const answered = this.#waiting.shift();
      if (!answered) throw new Error('an answer came to no request');
      answered(new Reader(bytes, start, end));
    };
  }

  ask<Request, Response>(api: Api<Request, Response>, version: number, request: Writable<Request>): Promise<Response> {
    return new Promise((resolve) => {
      this.#connection.write(frameOf(api, version, this.#asked++, request));
      this.#waiting.push((reader) => {
        readResponseHeader(reader, api as Api, version);
        resolve(api.response.read(reader, version));
      });
    });
  }

  /** The same, and again as long as the answer's error is one of these, which pass. */
  async askUntilDone<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
    { errorOf, passing, onRetry = () => {} }: Patience<Response>,
  ): Promise<Response> {
    for (;;) {
      const response = await this.ask(api, version, request);
      const error = errorName(errorOf(response));
      if (error === 'NONE') return response;
      if (!passing.includes(error)) throw new Error(`${api.name} answered ${error}`);
      onRetry(error);
      await sleep(retryMs);
    }
  }

  /** Sends a whole frame that was made before; `answered` is shown the answer behind its header. */
  send(frame: Buffer, answered: (reader: Reader) => void): void {
    this.#connection.write(frame);
    this.#waiting.push(answered);
  }

  close(): void {
    this.#connection.close();
  }
}

/** As Java's producer waits when it is told that a transaction is being ended. */
const retryMs = 20;

export type Patience<Response> = {
  readonly errorOf: (response: Response) => number;
  readonly passing: readonly string[];
  readonly onRetry?: (error: string) => void;
};

const findVersion = 6;
const keyTypes = { group: 0, transaction: 1 };

/** Resolves when it is known who coordinates this. A node makes the topic of its coordinators when it is first asked. */
export async function findCoordinator(wire: Wire, kind: keyof typeof keyTypes, key: string): Promise<void> {
  await wire.askUntilDone(
    FindCoordinator,
    findVersion,
    { keyType: keyTypes[kind], coordinatorKeys: [key] },
    { errorOf: ({ coordinators }) => coordinators[0]!.errorCode, passing: passingErrors },
  );
}

/** What a coordinator that has only just been asked for says, and one that is busy. */
export const passingErrors = [
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'CONCURRENT_TRANSACTIONS',
  'NOT_ENOUGH_REPLICAS',
];

export function frameOf<Request, Response>(
  api: Api<Request, Response>,
  version: number,
  correlationId: number,
  request: Writable<Request>,
): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writeRequestHeader(writer, api as Api, version, correlationId, 'bench');
  api.request.write(writer, request, version);
  const frame = Buffer.from(writer.bytes());
  frame.writeInt32BE(frame.length - 4);
  return frame;
}
