/** One question to one node, over a connection of its own. */
import { type Api, Reader, readResponseHeader, type Writable, Writer, writeRequestHeader } from '@ottla/protocol';
import { Connection } from '../interop/targets/connection.ts';

export type Address = { readonly host: string; readonly port: number };

/** Rejects when there is no answer in time. */
export async function ask<Request, Response>(
  { host, port }: Address,
  api: Api<Request, Response>,
  version: number,
  request: Writable<Request>,
  patienceMs = 5000,
): Promise<Response> {
  const connection = await Connection.open(port, host, patienceMs);
  try {
    const writer = new Writer();
    writeRequestHeader(writer, api as Api, version, 1, 'cluster-test');
    api.request.write(writer, request, version);
    connection.writeFrame(writer.bytes());
    const reply = await connection.reply(patienceMs);
    if (reply.kind !== 'answer') throw new Error(`${api.name}: ${host}:${port} is ${reply.kind}`);
    const reader = new Reader(reply.frame);
    readResponseHeader(reader, api as Api, version);
    return api.response.read(reader, version) as Response;
  } finally {
    connection.close();
  }
}
