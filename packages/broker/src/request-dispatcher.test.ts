import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BorrowedParts, type LateResponse, type Response, type ServerConnection } from '@ottla/network';
import { Fetch, KafkaError, Writer, writeRequestHeader, ZERO_UUID } from '@ottla/protocol';
import type { BrokerParts } from './broker-parts.ts';
import { type Handler, handler, LateAnswer } from './handlers/handler.ts';
import { RequestDispatcher } from './request-dispatcher.ts';
import { RecordedLogs } from './testing-node.ts';

const version = 17;

function fetchFrame(): Uint8Array {
  const writer = new Writer();
  writeRequestHeader(writer, Fetch, version, 1, 'test');
  Fetch.request.write(writer, { topics: [] }, version);
  return writer.bytes();
}

type Context = Parameters<Handler['handle']>[1];
type Made = ReturnType<typeof answerWith>;

function answerWith(recordsBytes: number) {
  const partition = { partitionIndex: 0, errorCode: 0, highWatermark: 0, records: new Uint8Array(recordsBytes) };
  return { errorCode: 0, responses: [{ topicId: ZERO_UUID, partitions: [partition] }] };
}

/** How often a handler's borrowed memory is given back, and what it answered. */
async function dispatched(handle: (context: Context) => Made | Promise<Made | LateAnswer<Made>>) {
  const borrowed = { released: 0 };
  const broker = { produceTurn: { commit: () => {} }, runtime: { logger: new RecordedLogs() } } as unknown as BrokerParts;
  const fetch = handler(
    Fetch,
    ((_request: object, context: Context) => {
      context.releases.push(() => void borrowed.released++);
      return handle(context);
    }) as never,
    () => ({ errorCode: -1, responses: [] }),
  ) as Handler;
  const dispatcher = RequestDispatcher.forBroker(broker, new Map([[Fetch.apiKey, fetch]]));
  const reply = { answered: () => {}, failed: () => {} };
  const connection = { remote: { host: 'client', port: 1 } } as ServerConnection;
  const settled = await (dispatcher.dispatch(fetchFrame(), connection, reply) as Response | Promise<Response | LateResponse>);
  return { borrowed, settled };
}

test('an answer that refers to borrowed memory is released by who sends it', async () => {
  for (const make of [
    () => answerWith(20_000),
    async () => answerWith(20_000),
    async () => new LateAnswer(() => answerWith(20_000)),
  ]) {
    const { borrowed, settled } = await dispatched(make);
    const answer = typeof settled === 'function' ? settled() : settled;
    assert.ok(answer instanceof BorrowedParts);
    assert.equal(borrowed.released, 0);
    answer.release();
    assert.equal(borrowed.released, 1);
    answer.release();
    assert.equal(borrowed.released, 1);
  }
});

test('memory of records that are copied into the answer is given back at once', async () => {
  const { borrowed, settled } = await dispatched(() => answerWith(100));
  assert.ok(Array.isArray(settled));
  assert.equal(borrowed.released, 1);
});

const failing: Record<string, () => Made | Promise<Made | LateAnswer<Made>>> = {
  'after it has read': () => {
    throw new KafkaError('UNKNOWN_SERVER_ERROR', 'as it should');
  },
  unexpectedly: () => {
    throw new Error('as it should');
  },
  'after a wait': async () => {
    throw new Error('as it should');
  },
  'when its turn has come': async () =>
    new LateAnswer(() => {
      throw new Error('as it should');
    }),
};

for (const [when, handle] of Object.entries(failing)) {
  test(`what a handler that fails ${when} has borrowed is given back, and its answer is the error`, async () => {
    const { borrowed, settled } = await dispatched(handle);
    const answer = typeof settled === 'function' ? settled() : settled;
    assert.ok(Array.isArray(answer));
    assert.equal(borrowed.released, 1);
  });
}

test('what an answer that cannot be written has borrowed is given back', async () => {
  let released = 0;
  await assert.rejects(async () => {
    await dispatched(({ releases }) => {
      releases.push(() => void released++);
      return { ...answerWith(20_000), errorCode: 'none' as never, responses: [{ topicId: 7 as never, partitions: [] }] };
    });
  });
  assert.equal(released, 1);
});
