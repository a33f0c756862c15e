import { type Api, Reader, readResponseHeader, type Writable, Writer, writeRequestHeader } from '@ottla/protocol';
import { RawConnection } from './load/raw-connection.ts';

/** One request on a connection of its own, in this version; nothing is retried. */
export async function ask<Request, Response>(
  port: number,
  api: Api<Request, Response>,
  version: number,
  request: Writable<Request>,
): Promise<Response> {
  const writer = new Writer();
  writeRequestHeader(writer, api as Api, version, 1, 'bench');
  api.request.write(writer, request, version);
  const size = Buffer.alloc(4);
  size.writeInt32BE(writer.length);
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const connection = await RawConnection.open(port, reject);
  connection.onAnswer = (bytes, start, end) => {
    const reader = new Reader(Buffer.from(bytes.subarray(start, end)));
    readResponseHeader(reader, api as Api, version);
    resolve(api.response.read(reader, version));
  };
  connection.write(Buffer.concat([size, ...writer.chunks()]));
  try {
    return await promise;
  } finally {
    connection.close();
  }
}
