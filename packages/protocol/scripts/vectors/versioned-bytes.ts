/** consumer-protocol.jsonl and principal.jsonl: values that travel as bytes inside other messages, after their version. */
import { isDeepStrictEqual } from 'node:util';
import {
  type ConsumerProtocolAssignment,
  type ConsumerProtocolSubscription,
  readAssignment,
  readPrincipal,
  readSubscription,
  writeAssignment,
  writePrincipal,
  writeSubscription,
} from '../../src/index.ts';
import { difference, firstProblem, fromHex } from './bytes.ts';
import { messageNamed } from './codecs.ts';
import { fromJson, toJson } from './message-json.ts';

type ConsumerVector = { type: 'subscription' | 'assignment'; name: string; version: number; hex: string; json: object };
type PrincipalVector = { type: string; name: string; tokenAuthenticated: boolean; hex: string };

export const consumerProtocolFamily = {
  file: 'consumer-protocol.jsonl',
  check(line: string): string | undefined {
    const vector = JSON.parse(line) as ConsumerVector;
    const isSubscription = vector.type === 'subscription';
    const { schema } = messageNamed(isSubscription ? 'ConsumerProtocolSubscription' : 'ConsumerProtocolAssignment')!;
    const write = (value: object): Uint8Array =>
      isSubscription
        ? writeSubscription(value as ConsumerProtocolSubscription, vector.version)
        : writeAssignment(value as ConsumerProtocolAssignment, vector.version);
    const value = isSubscription ? readSubscription(fromHex(vector.hex)) : readAssignment(fromHex(vector.hex));
    const json = toJson(schema, value, vector.version);
    const problem = firstProblem([
      isDeepStrictEqual(json, vector.json) ? undefined : `decoded as ${JSON.stringify(json)}`,
      difference('encoded again', write(value), vector.hex),
      difference('encoded from JSON', write(fromJson(schema, vector.json)), vector.hex),
    ]);
    return problem && `${vector.type} ${vector.name} v${vector.version}: ${problem}`;
  },
};

export const principalFamily = {
  file: 'principal.jsonl',
  check(line: string): string | undefined {
    const { hex, ...expected } = JSON.parse(line) as PrincipalVector;
    const principal = readPrincipal(fromHex(hex));
    return isDeepStrictEqual({ ...principal }, expected)
      ? difference(expected.name, writePrincipal(expected), hex)
      : `read as ${JSON.stringify(principal)}`;
  },
};
