import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestBatcher } from './request-batcher.ts';

type Sent = { readonly items: readonly string[]; readonly answer: () => void; readonly fail: (error: Error) => void };

function batcher(limits: { maxInFlight?: number; maxItems?: number } = {}) {
  const sent: Sent[] = [];
  const requests = new RequestBatcher<string, string>({
    send: (items) =>
      new Promise((resolve, reject) => {
        sent.push({ items, answer: () => resolve(items.map((item) => item.toUpperCase())), fail: reject });
      }),
    maxInFlight: 1,
    maxItems: 3,
    ...limits,
    keyOf: (item) => item[0]!,
  });
  const asked = () => sent.map(({ items }) => items.join(' '));
  return { requests, sent, asked };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what comes at once goes together, and what comes meanwhile goes in the next request', async () => {
  const { requests, sent, asked } = batcher();
  const first = [requests.ask('a'), requests.ask('b')];
  await turn();
  const second = [requests.ask('c'), requests.ask('d')];
  await turn();
  assert.deepEqual(asked(), ['a b']);
  sent[0]!.answer();
  assert.deepEqual(await Promise.all(first), ['A', 'B']);
  await turn();
  assert.deepEqual(asked(), ['a b', 'c d']);
  sent[1]!.answer();
  assert.deepEqual(await Promise.all(second), ['C', 'D']);
});

test('a request takes no more than so many items, and no two of one key', async () => {
  const { requests, sent, asked } = batcher({ maxInFlight: 2 });
  const all = ['a1', 'a2', 'b1', 'c1', 'd1', 'e1', 'a3'].map((item) => requests.ask(item));
  await turn();
  assert.deepEqual(asked(), ['a1 b1 c1', 'a2 d1 e1']);
  sent[1]!.answer();
  await turn();
  assert.deepEqual(asked(), ['a1 b1 c1', 'a2 d1 e1', 'a3']);
  for (const { answer } of sent) answer();
  assert.deepEqual(await Promise.all(all), ['A1', 'A2', 'B1', 'C1', 'D1', 'E1', 'A3']);
});

test('a request that fails, fails for all in it, and the next one is sent', async () => {
  const { requests, sent, asked } = batcher();
  const lost = ['a', 'b'].map((item) => assert.rejects(requests.ask(item), /the broker is gone/));
  await turn();
  const next = requests.ask('c');
  sent[0]!.fail(new Error('the broker is gone'));
  await Promise.all(lost);
  await turn();
  assert.deepEqual(asked(), ['a b', 'c']);
  sent[1]!.answer();
  assert.equal(await next, 'C');
});
