/**
 * Requests that name very many things: what takes its time for each pair of them would not end here. Nothing else of the node runs while
 * the controller decides.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, ZERO_UUID } from '@ottla/protocol';
import { TestController } from '../../test/test-controller.ts';

const many = 100_000;
const names = Array.from({ length: many }, (_, index) => `name-${index}`);

test('very many topics to delete are looked up once each, whether they exist, repeat or neither', () => {
  const test = TestController.withBrokers(1);
  test.createTopicOn('orders', [[1]]);
  const orders = test.image.topics.byName('orders')!.id;
  const topics = [...names, ...names.slice(1)].map((name) => ({ name: name as string | null, topicId: ZERO_UUID }));
  topics.push({ name: 'orders', topicId: ZERO_UUID }, { name: null, topicId: orders });
  const { responses } = test.do((controller) => controller.deleteTopics({ topics, topicNames: [], timeoutMs: 0 }));
  assert.equal(responses.length, many + 1);
  assert.equal(errorName(responses[0]!.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(responses[1]!.errorMessage, 'Duplicate topic name.');
  assert.equal(responses.at(-1)!.errorMessage, 'The provided topic name maps to an ID that was already supplied.');
  assert.ok(test.image.topics.byName('orders'));
});

test('one topic to delete that is named very many times is answered once', () => {
  const test = TestController.withBrokers(1);
  const topics = names.map(() => ({ name: 'orders', topicId: ZERO_UUID }));
  const { responses } = test.do((controller) => controller.deleteTopics({ topics, topicNames: [], timeoutMs: 0 }));
  assert.deepEqual(
    responses.map(({ errorMessage }) => errorMessage),
    ['Duplicate topic name.'],
  );
});

test('very many SCRAM users are altered and described in one pass, up to the limit of records', () => {
  const test = TestController.withBrokers(1);
  const deletions = [...names, 'name-0'].map((name) => ({ name, mechanism: 1 }));
  const altered = test.do((controller) => controller.alterUserScramCredentials({ deletions, upsertions: [] }));
  assert.equal(altered.results.length, many);
  assert.deepEqual(
    altered.results.slice(0, 2).map(({ errorCode }) => errorName(errorCode)),
    ['DUPLICATE_RESOURCE', 'RESOURCE_NOT_FOUND'],
  );
  const { results } = test.controller.describeUserScramCredentials({
    users: [...names, 'name-0'].map((name) => ({ name })),
  }).response;
  assert.equal(results.length, many);
  assert.equal(errorName(results[0]!.errorCode), 'DUPLICATE_RESOURCE');

  let hashed = 0;
  const upsertions = names.map((name) => ({
    name,
    mechanism: 1,
    iterations: 4096,
    salt: new Uint8Array(8),
    get saltedPassword() {
      hashed++;
      return new Uint8Array(32);
    },
  }));
  assert.throws(() => test.do((controller) => controller.alterUserScramCredentials({ deletions: [], upsertions })), {
    name: 'POLICY_VIOLATION',
  });
  assert.ok(hashed <= 10_001, `hashed ${hashed} passwords`);
});

test('a list config with very many members is appended to and subtracted from in one pass', () => {
  const test = TestController.withBrokers(1);
  test.createTopicOn('orders', [[1]]);
  const alter = (configOperation: number, value: string) => {
    const configs = [{ name: 'cleanup.policy', configOperation, value }];
    const resources = [{ resourceType: 2, resourceName: 'orders', configs }];
    const request = { resources, validateOnly: true };
    return errorName(test.do((controller) => controller.incrementalAlterConfigs(request)).responses[0]!.errorCode);
  };
  assert.equal(alter(2, names.join(',')), 'INVALID_CONFIG');
  assert.equal(alter(3, names.join(',')), 'NONE');
});

test('very many configs of one resource are checked for repetition in one pass', () => {
  const test = TestController.withBrokers(1);
  const configs = [...names, 'name-0'].map((name) => ({ name, configOperation: 0, value: '1' }));
  const request = { resources: [{ resourceType: 32, resourceName: 'group', configs }], validateOnly: true };
  const { responses } = test.do((controller) => controller.incrementalAlterConfigs(request));
  assert.equal(responses[0]!.errorMessage, 'Error due to duplicate config keys');
});

test('a topic that is created is compared with those it may be mistaken for, and no others', () => {
  const test = TestController.withBrokers(1);
  for (const name of ['a.b', 'a-b', 'ab', 'x_y']) test.createTopicOn(name, [[1]]);
  const { topics } = test.image;
  assert.deepEqual([...topics.namesLike('a_b')], ['a.b']);
  assert.deepEqual([...topics.namesLike('ab')], []);
  test.do((controller) =>
    controller.deleteTopics({ topics: [{ name: 'a.b', topicId: ZERO_UUID }], topicNames: [], timeoutMs: 0 }),
  );
  assert.deepEqual([...topics.namesLike('a_b')], []);
  assert.deepEqual([...topics.namesLike('x.y')], ['x_y']);
});
