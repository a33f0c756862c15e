/** Asks one broker, and writes down what it answered, so that two brokers' transcripts can be laid side by side. */
import {
  AlterClientQuotas,
  AlterConfigs,
  AlterPartitionReassignments,
  AlterUserScramCredentials,
  type Api,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  ElectLeaders,
  IncrementalAlterConfigs,
  ListPartitionReassignments,
  Metadata,
  Reader,
  readResponseHeader,
  UnregisterBroker,
  UpdateFeatures,
  type Writable,
  Writer,
  writeRequestHeader,
} from '@ottla/protocol';
import { eventually } from '../processes.ts';
import { Connection } from '../targets/connection.ts';
import { metadataSettled } from '../targets/settled.ts';
import { isUnwritable, type Plain, plain, type Surroundings, versionsOf } from './plain.ts';

export type Entry = { readonly label: string; readonly outcome: Plain };

export type Target = { readonly port: number; readonly controllerPort: number; readonly dataDirectory: string };

type AskOptions = {
  /** Instead of the probe's own connection. */
  readonly on?: Connection;
  readonly clientId?: string | null;
  /** Behind the body. */
  readonly trailing?: Uint8Array;
  /** Not written down: a request that only prepares, or waits. */
  readonly quiet?: boolean;
  readonly patienceMs?: number;
};

/** Only what is expected to be silent waits that long. */
const PATIENCE_MS = 60_000;

/** What a broker passes on to its controller. All else it answers from what it has heard of the metadata log so far. */
const answeredByTheController: ReadonlySet<number> = new Set(
  [
    AlterClientQuotas,
    AlterConfigs,
    AlterPartitionReassignments,
    AlterUserScramCredentials,
    CreatePartitions,
    CreateTopics,
    DeleteTopics,
    ElectLeaders,
    IncrementalAlterConfigs,
    ListPartitionReassignments,
    UnregisterBroker,
    UpdateFeatures,
  ].map(({ apiKey }) => apiKey),
);

export class Probe {
  readonly idNames = new Map<string | number, string>();
  readonly target: Target;
  readonly #transcript: Entry[] = [];
  readonly #opened: Connection[] = [];
  #own: Connection | undefined;
  #correlationId = 0;
  /** Whether the broker may not have heard yet of something that its controller has answered. */
  #isBehind = false;
  #scenario = '';

  constructor(target: Target) {
    this.target = target;
  }

  begin(scenario: string): void {
    this.#scenario = scenario;
    this.closeAll();
  }

  async connect(to: 'broker' | 'controller' = 'broker'): Promise<Connection> {
    const connection = await Connection.open(to === 'broker' ? this.target.port : this.target.controllerPort);
    this.#opened.push(connection);
    return connection;
  }

  async #ownConnection(): Promise<Connection> {
    if (!this.#own?.isOpen) this.#own = await this.connect();
    return this.#own;
  }

  /** Sends a request and gives the answer; null when there was none. */
  async ask<Request, Response>(
    what: string,
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
    options: AskOptions = {},
  ): Promise<Response | null> {
    const label = `${api.name} v${version}: ${what}`;
    let frame: Uint8Array;
    try {
      frame = this.frameOf(api, version, request, options);
    } catch (error) {
      if (isUnwritable(error)) return null;
      throw new Error(`cannot write ${label}`, { cause: error });
    }
    if (answeredByTheController.has(api.apiKey)) this.#isBehind = true;
    else await this.#settle();
    const connection = options.on ?? (await this.#ownConnection());
    connection.writeFrame(frame);
    return this.receive(what, api, version, { ...options, on: connection });
  }

  /**
   * Asks again, for a while, as long as the answer says that something is still under way: only the last answer is written down. What
   * `look` does with an answer, naming its ids say, comes before.
   */
  async askSettled<Request, Response>(
    what: string,
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
    isPending: (answer: Response) => boolean,
    { look, ...options }: AskOptions & { readonly look?: (answer: Response) => void } = {},
  ): Promise<Response | null> {
    const answer = await eventually(`${api.name} v${version}: ${what}`, async () => {
      const given = await this.ask(what, api, version, request, { ...options, quiet: true });
      return given !== null && isPending(given) ? null : { given };
    });
    const { given } = answer as { given: Response | null };
    if (given === null) return null;
    look?.(given);
    if (!options.quiet) this.note(`${api.name} v${version}: ${what}`, plain(given, this.#surroundings));
    return given;
  }

  async #settle(): Promise<void> {
    if (!this.#isBehind) return;
    await metadataSettled(this.target.port);
    this.#isBehind = false;
  }

  /**
   * Sends a request that is not answered when all goes well, and ends the connection when it does not. A second request behind it
   * tells the two apart: a connection's requests are handled in their order.
   */
  async askWithoutAnswer<Request, Response>(
    what: string,
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
  ): Promise<void> {
    await this.#settle();
    const connection = await this.connect();
    connection.writeFrame(this.frameOf(api, version, request));
    connection.writeFrame(this.frameOf(Metadata, 1, { topics: [] }));
    const reply = await connection.reply(PATIENCE_MS);
    const isSecond = reply.kind === 'answer' && Buffer.from(reply.frame).readInt32BE(0) === this.#correlationId;
    const shown = reply.kind !== 'answer' ? reply.kind : isSecond ? 'unanswered' : Buffer.from(reply.frame).toString('hex');
    this.note(`${api.name} v${version}: ${what}`, `<${shown}>`);
    connection.close();
  }

  /** Waits for the answer to a request that was sent before, on the connection given. */
  async receive<Request, Response>(
    what: string,
    api: Api<Request, Response>,
    version: number,
    options: AskOptions & { on: Connection },
  ): Promise<Response | null> {
    const label = `${api.name} v${version}: ${what}`;
    const reply = await options.on.reply(options.patienceMs ?? PATIENCE_MS);
    if (reply.kind !== 'answer') {
      // What comes late must not be taken for the answer to the next request.
      options.on.close();
      this.note(label, `<${reply.kind}>`);
      return null;
    }
    const reader = new Reader(reply.frame);
    try {
      readResponseHeader(reader, api as Api, version);
      const answer = api.response.read(reader, version) as Response;
      if (!options.quiet) this.note(label, plain(answer, this.#surroundings));
      if (reader.remaining > 0) this.note(`${label}, bytes behind the answer`, reader.remaining);
      return answer;
    } catch (error) {
      this.note(label, `<unreadable: ${String(error)}> ${Buffer.from(reply.frame).toString('hex')}`);
      return null;
    }
  }

  /** The same in every served version, or in those named. */
  async askInEachVersion<Request, Response>(
    what: string,
    api: Api<Request, Response>,
    request: Writable<Request> | ((version: number) => Writable<Request>),
    options: AskOptions & { versions?: readonly number[] } = {},
  ): Promise<void> {
    for (const version of options.versions ?? versionsOf(api as Api)) {
      const body = typeof request === 'function' ? (request as (version: number) => Writable<Request>)(version) : request;
      await this.ask(what, api, version, body, options);
    }
  }

  frameOf<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
    { clientId = 'probe', trailing }: AskOptions = {},
  ): Uint8Array {
    const writer = new Writer();
    writeRequestHeader(writer, api as Api, version, ++this.#correlationId, clientId);
    api.request.write(writer, request, version);
    return trailing ? Buffer.concat([writer.bytes(), trailing]) : Buffer.from(writer.bytes());
  }

  /** Sends bytes as they are on a connection of their own; only whether an answer came, and its bytes, is written down. */
  async sendRaw(what: string, bytes: Uint8Array, patienceMs = PATIENCE_MS): Promise<void> {
    const connection = await this.connect();
    connection.write(bytes);
    const reply = await connection.reply(patienceMs);
    const port = this.target.port.toString(16).padStart(8, '0');
    this.note(
      what,
      reply.kind === 'answer' ? Buffer.from(reply.frame).toString('hex').replaceAll(port, '<port>') : `<${reply.kind}>`,
    );
    connection.close();
  }

  note(label: string, outcome: Plain): void {
    this.#transcript.push({ label: `${this.#scenario} / ${label}`, outcome });
  }

  /** What was written down since the last time. */
  take(): Entry[] {
    return this.#transcript.splice(0);
  }

  /** From now on this id is shown by that name. */
  name(id: string | number | undefined, shown: string): void {
    if (id !== undefined && !(typeof id === 'number' && id <= 0)) this.idNames.set(id, `<${shown}>`);
  }

  closeAll(): void {
    for (const connection of this.#opened.splice(0)) connection.close();
    this.#own = undefined;
  }

  get #surroundings(): Surroundings {
    const { port, controllerPort, dataDirectory } = this.target;
    return { port, controllerPort, dataDirectory, idNames: this.idNames };
  }
}
