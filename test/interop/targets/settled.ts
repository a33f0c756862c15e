/**
 * A broker answers a change of metadata when its controller has committed it, and reads from an image that follows the metadata
 * log a moment later. So what is read right after a change may still be the old state, more often the slower the machine.
 *
 * The log is ordered, and the image follows it in order: something harmless is changed last, and waited for. Then it is undone,
 * and that is waited for as well. The image shows the second change only when all parts of the broker have acted on the first
 * one, and so on everything before it: logs opened, configs in force, leaders leading.
 */
import process from 'node:process';
import {
  AlterClientQuotas,
  type Api,
  DescribeClientQuotas,
  Reader,
  readResponseHeader,
  type Writable,
  Writer,
  writeRequestHeader,
} from '@ottla/protocol';
import { eventually } from '../processes.ts';
import { Connection } from './connection.ts';

/** Resolves when the broker acts on all the metadata that was changed before. Leaves nothing behind that a request would list. */
export async function metadataSettled(port: number): Promise<void> {
  const connection = await Connection.open(port);
  try {
    const user = `settled-${process.pid}-${++count}`;
    for (const remove of [false, true]) {
      await eventually('a quota is taken', () => alter(connection, user, remove));
      await eventually('the image follows', async () => (await isListed(connection, user)) !== remove, { pauseMs: 1 });
    }
  } finally {
    connection.close();
  }
}

let count = 0;

async function alter(connection: Connection, user: string, remove: boolean): Promise<boolean> {
  const entity = [{ entityType: 'user', entityName: user }];
  const answer = await exchange(connection, AlterClientQuotas, 1, {
    entries: [{ entity, ops: [{ key: 'request_percentage', value: 100, remove }] }],
  });
  return answer.entries[0]!.errorCode === 0;
}

async function isListed(connection: Connection, user: string): Promise<boolean> {
  const components = [{ entityType: 'user', matchType: 0, match: user }];
  const answer = await exchange(connection, DescribeClientQuotas, 1, { components });
  return (answer.entries ?? []).length > 0;
}

async function exchange<Request, Response>(
  connection: Connection,
  api: Api<Request, Response>,
  version: number,
  request: Writable<Request>,
): Promise<Response> {
  const writer = new Writer();
  writeRequestHeader(writer, api as Api, version, 1, 'settled');
  api.request.write(writer, request, version);
  connection.writeFrame(writer.bytes());
  const reply = await connection.reply(60_000);
  if (reply.kind !== 'answer') throw new Error(`${api.name}: the broker is ${reply.kind}`);
  const reader = new Reader(reply.frame);
  readResponseHeader(reader, api as Api, version);
  return api.response.read(reader, version) as Response;
}
