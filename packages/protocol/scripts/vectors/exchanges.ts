/**
 * apiversions-exchange.jsonl and sasl-exchange.jsonl: whole frames as clients and a broker sent them. Header and body
 * must decode to their end, and come out again byte for byte.
 */
import {
  type Api,
  ApiVersions,
  apiByKey,
  Reader,
  readRequestHeader,
  readResponseHeader,
  Writer,
  writeRequestHeader,
  writeResponseHeader,
} from '../../src/index.ts';
import { difference, firstProblem, fromHex } from './bytes.ts';

interface Exchange {
  step?: string;
  requestHex?: string;
  responseHex?: string;
}

export const apiVersionsFamily = { file: 'apiversions-exchange.jsonl', check: (line: string) => checkExchange(JSON.parse(line)) };

export const saslFamily = {
  file: 'sasl-exchange.jsonl',
  check(line: string): string | undefined {
    const { name, steps } = JSON.parse(line) as { name: string; steps: Exchange[] };
    const problem = firstProblem(steps.map(checkExchange));
    return problem && `${name}: ${problem}`;
  },
};

/** What is wrong, or nothing. A step without a request says only whether the connection was closed. */
function checkExchange({ step, requestHex, responseHex }: Exchange): string | undefined {
  if (requestHex === undefined) return undefined;
  const reader = new Reader(fromHex(requestHex));
  const { apiKey, apiVersion, correlationId, clientId } = readRequestHeader(reader);
  const api = apiByKey(apiKey)!;
  const isSupported = apiVersion <= api.maxVersion;
  const writer = new Writer();
  writeRequestHeader(writer, api, apiVersion, correlationId, clientId);
  if (isSupported) api.request.write(writer, api.request.read(reader, apiVersion), apiVersion);
  else writer.raw(reader.raw(reader.remaining));
  const problem =
    (reader.remaining > 0
      ? `${reader.remaining} bytes are left of the request`
      : difference('request', writer.bytes(), requestHex)) ??
    (responseHex === undefined ? undefined : checkResponse(api, apiVersion, isSupported, correlationId, responseHex));
  return problem && `${step ?? `${api.name} v${apiVersion}`}: ${problem}`;
}

function checkResponse(api: Api, asked: number, isSupported: boolean, correlationId: number, hex: string): string | undefined {
  if (!isSupported && api !== ApiVersions) return 'answered, although the version is not supported';
  const version = isSupported ? asked : 0;
  const reader = new Reader(fromHex(hex));
  const answered = readResponseHeader(reader, api, version);
  if (answered !== correlationId) return `correlation id ${answered}, not ${correlationId}`;
  const writer = new Writer();
  writeResponseHeader(writer, api, version, correlationId);
  api.response.write(writer, api.response.read(reader, version), version);
  return reader.remaining > 0
    ? `${reader.remaining} bytes are left of the response`
    : difference('response', writer.bytes(), hex);
}
