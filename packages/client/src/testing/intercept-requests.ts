import type { TestContext } from 'node:test';
import { BrokerConnection } from '@ottla/network';

/**
 * For the rest of a test, answers requests in the brokers' place. `answer` is given the API, and what sends the request and gives the real
 * answer; undefined: the request goes its way.
 */
export function interceptRequests(
  context: TestContext,
  // biome-ignore lint/suspicious/noExplicitAny: answers of any API, which tests take apart.
  answer: (api: unknown, send: () => Promise<any>) => unknown,
): void {
  const real = BrokerConnection.prototype.send;
  context.mock.method(BrokerConnection.prototype, 'send', function (this: BrokerConnection, ...request: Parameters<typeof real>) {
    const send = () => real.apply(this, request);
    const answered = answer(request[0], send);
    return answered === undefined ? send() : Promise.resolve(answered);
  });
}
