/** headers.jsonl: version and bytes of the headers of every version of every API. */
import {
  apiByKey,
  Reader,
  readRequestHeader,
  readResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
  Writer,
  writeRequestHeader,
  writeResponseHeader,
} from '../../src/index.ts';
import { difference, firstProblem, fromHex } from './bytes.ts';

interface Vector {
  apiKey: number;
  api: string;
  apiVersion: number;
  requestHeaderVersion: number;
  responseHeaderVersion: number;
  clientId: string;
  correlationId: number;
  requestHeaderHex: string;
  requestHeaderNullClientHex: string;
  responseHeaderHex: string;
}

export const family = { file: 'headers.jsonl', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  const { apiVersion, correlationId } = vector;
  const api = apiByKey(vector.apiKey);
  if (api?.name !== vector.api) return `API ${vector.apiKey} is ${api?.name}, not ${vector.api}`;
  const written = (write: (writer: Writer) => void): Uint8Array => {
    const writer = new Writer();
    write(writer);
    return writer.bytes();
  };
  const readAs = (hex: string, clientId: string | null): string | undefined => {
    const reader = new Reader(fromHex(hex));
    const head = readRequestHeader(reader);
    const isRight =
      head.apiKey === api.apiKey &&
      head.apiVersion === apiVersion &&
      head.correlationId === correlationId &&
      head.clientId === clientId &&
      reader.remaining === 0;
    return isRight ? undefined : `request header read as ${JSON.stringify(head)}`;
  };
  const responseReader = new Reader(fromHex(vector.responseHeaderHex));
  const problem = firstProblem([
    requestHeaderVersion(api, apiVersion) === vector.requestHeaderVersion ? undefined : 'wrong version of the request header',
    responseHeaderVersion(api, apiVersion) === vector.responseHeaderVersion ? undefined : 'wrong version of the response header',
    difference(
      'request header',
      written((writer) => writeRequestHeader(writer, api, apiVersion, correlationId, vector.clientId)),
      vector.requestHeaderHex,
    ),
    difference(
      'without client',
      written((writer) => writeRequestHeader(writer, api, apiVersion, correlationId, null)),
      vector.requestHeaderNullClientHex,
    ),
    difference(
      'response header',
      written((writer) => writeResponseHeader(writer, api, apiVersion, correlationId)),
      vector.responseHeaderHex,
    ),
    readAs(vector.requestHeaderHex, vector.clientId),
    readAs(vector.requestHeaderNullClientHex, null),
    readResponseHeader(responseReader, api, apiVersion) === correlationId && responseReader.remaining === 0
      ? undefined
      : 'response header misread',
  ]);
  return problem && `${api.name} v${apiVersion}: ${problem}`;
}
