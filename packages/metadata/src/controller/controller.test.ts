import assert from 'node:assert/strict';
import { pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { type BrokerRegistrationRequest, errors, KafkaError } from '@ottla/protocol';
import { clusterId, directory, offeredFeatures, TestController } from '../../test/test-controller.ts';
import { migratingDirectory, unassignedDirectory } from '../image/directory-ids.ts';

const codeIs = (name: keyof typeof errors) => (error: unknown) => error instanceof KafkaError && error.code === errors[name].code;
const types = (records: readonly { type: string }[]) => records.map(({ type }) => type.replace('Record', ''));

test('a single node: register, unfence, create, delete', () => {
  const test = TestController.withBrokers(1);
  const { errorCode, numPartitions, replicationFactor, configs } = test.createTopic('orders', 3, -1, { 'retention.ms': '1000' });
  assert.deepEqual([errorCode, numPartitions, replicationFactor], [0, 3, 1]);
  const retention = configs!.find(({ name }) => name === 'retention.ms')!;
  assert.deepEqual([retention.value, retention.configSource, configs!.length], ['1000', 1, 33]);
  assert.deepEqual(types(test.log), [
    'BeginTransaction',
    ...Array(6).fill('FeatureLevel'),
    'Config',
    'EndTransaction',
    'RegisterBroker',
    'BrokerRegistrationChange',
    'BrokerRegistrationChange',
    'Topic',
    'Config',
    'Partition',
    'Partition',
    'Partition',
  ]);
  const { topicId } = test.do((controller) =>
    controller.deleteTopics({ topics: [{ name: 'orders', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], topicNames: [], timeoutMs: 0 }),
  ).responses[0]!;
  assert.equal(topicId, (test.log[12] as { value: { topicId: string } }).value.topicId);
  assert.equal(test.image.topics.count, 0);
  test.assertInvariants();
});

test('a second activation writes nothing', () => {
  const test = TestController.withBrokers(1);
  const before = test.log.length;
  test.activate();
  assert.equal(test.log.length, before);
});

test('an activation that finds half a transaction aborts it', () => {
  const test = new TestController();
  test.commit([{ type: 'BeginTransactionRecord', version: 0, value: { name: 'Bootstrap records' } }]);
  test.activate();
  assert.deepEqual(types(test.log).slice(0, 3), ['BeginTransaction', 'AbortTransaction', 'BeginTransaction']);
  assert.equal(test.image.features.metadataVersion.level, 30);
});

for (const [what, name, partitions, replicationFactor, error, text] of [
  ['no name', '', 1, 1, 'INVALID_TOPIC_EXCEPTION', 'Topic name is invalid: the empty string is not allowed'],
  ['a dot', '.', 1, 1, 'INVALID_TOPIC_EXCEPTION', "Topic name is invalid: '.' is not allowed"],
  ['a space', 'a b', 1, 1, 'INVALID_TOPIC_EXCEPTION', /'a b' contains one or more characters other than ASCII alphanumerics/],
  ['250 characters', 'x'.repeat(250), 1, 1, 'INVALID_TOPIC_EXCEPTION', /is longer than the max allowed length 249/],
  ['a name that exists', 'a.b', 1, 1, 'TOPIC_ALREADY_EXISTS', "Topic 'a.b' already exists."],
  ['a name like another in metrics', 'a_b', 1, 1, 'INVALID_TOPIC_EXCEPTION', "Topic 'a_b' collides with existing topic: a.b"],
  [
    'the metadata topic',
    '__cluster_metadata',
    1,
    1,
    'INVALID_REQUEST',
    'Creation of internal topic __cluster_metadata is prohibited.',
  ],
  ['no partitions', 'n', 0, 1, 'INVALID_PARTITIONS', 'Number of partitions was set to an invalid non-positive value.'],
  [
    'no replicas',
    'n',
    1,
    0,
    'INVALID_REPLICATION_FACTOR',
    'Replication factor must be larger than 0, or -1 to use the default value.',
  ],
  [
    'too many replicas',
    'n',
    1,
    2,
    'INVALID_REPLICATION_FACTOR',
    /^Unable to replicate the partition 2 time\(s\): The target replication factor of 2/,
  ],
] as const) {
  test(`a topic with ${what} is refused`, () => {
    const test = TestController.withBrokers(1);
    test.createTopic('a.b', 1, 1);
    const { errorCode, errorMessage } = test.createTopic(name, partitions, replicationFactor);
    assert.equal(errorCode, errors[error].code);
    if (typeof text === 'string') assert.equal(errorMessage, text);
    else assert.match(errorMessage!, text);
  });
}

test('a request may not make more than ten thousand records', () => {
  const test = TestController.withBrokers(1);
  assert.throws(() => test.createTopic('huge', 10_001, 1), /Excessively large number of partitions per request/);
  assert.throws(() => test.createTopic('huge', 10_000, 1), /Unable to perform excessively large batch operation/);
  assert.equal(test.createTopic('big', 9_999, 1).errorCode, 0);
});

test('validateOnly answers as if, and writes nothing', () => {
  const test = TestController.withBrokers(1);
  const topics = [{ name: 'orders', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }];
  const before = test.log.length;
  const answer = test.do((controller, context) => controller.createTopics({ topics, timeoutMs: 0, validateOnly: true }, context));
  assert.deepEqual([answer.topics[0]!.errorCode, answer.topics[0]!.numPartitions], [0, 2]);
  assert.equal(test.log.length, before);
});

test('a name twice in one request is created not even once', () => {
  const test = TestController.withBrokers(1);
  const topic = { name: 'twice', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  const topics = [topic, { ...topic, name: 'once' }, topic];
  const { topics: results } = test.do((controller, context) =>
    controller.createTopics({ topics, timeoutMs: 0, validateOnly: false }, context),
  );
  assert.deepEqual(
    results.map(({ name, errorCode, errorMessage }) => [name, errorCode, errorMessage]),
    [
      ['once', 0, null],
      ['twice', errors.INVALID_REQUEST.code, 'Duplicate topic name.'],
    ],
  );
  assert.deepEqual([...test.image.topics.names()], ['once']);
});

for (const [assignments, text] of [
  [[[7]], 'The manual partition assignment includes broker 7, but no such broker is registered.'],
  [[[1, 1]], 'The manual partition assignment includes the broker 1 more than once.'],
  [[[]], 'The manual partition assignment includes an empty replica list.'],
  [
    [[1, 2], [1]],
    'The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).',
  ],
] as const) {
  test(`assignment ${JSON.stringify(assignments)} is refused`, () => {
    const { errorCode, errorMessage } = TestController.withBrokers(2).createTopicOn('n', assignments as unknown as number[][]);
    assert.deepEqual([errorCode, errorMessage], [errors.INVALID_REPLICA_ASSIGNMENT.code, text]);
  });
}

test('partitions only grow in number', () => {
  const test = TestController.withBrokers(1);
  test.createTopic('orders', 2, 1);
  const grow = (count: number, assignments: { brokerIds: number[] }[] | null = null, name = 'orders') =>
    test.do((controller, context) =>
      controller.createPartitions({ topics: [{ name, count, assignments }], timeoutMs: 0, validateOnly: false }, context),
    ).results[0]!.errorMessage;
  assert.equal(grow(2), 'Topic already has 2 partition(s).');
  assert.equal(grow(1), 'The topic orders currently has 2 partition(s); 1 would not be an increase.');
  assert.equal(
    grow(4, [{ brokerIds: [1] }]),
    'Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.',
  );
  assert.equal(grow(1, null, 'nope'), null); // the error code alone
  assert.equal(grow(3), null);
  assert.equal(test.image.topics.byName('orders')!.partitionCount, 3);
});

test('configs: append, subtract, delete, and what is refused', () => {
  const test = TestController.withBrokers(1);
  test.createTopic('t', 1, 1);
  const alter = (name: string, configOperation: number, value: string | null, resourceName = 't', resourceType = 2) => {
    const resources = [{ resourceType, resourceName, configs: [{ name, configOperation, value }] }];
    return test.do((controller) => controller.incrementalAlterConfigs({ resources, validateOnly: false })).responses[0]!
      .errorMessage;
  };
  const value = (name: string) => test.image.configs.of(2, 't').get(name);
  assert.equal(alter('cleanup.policy', 2, 'compact'), null);
  assert.equal(value('cleanup.policy'), 'delete,compact');
  assert.equal(alter('cleanup.policy', 3, 'delete'), null);
  assert.equal(value('cleanup.policy'), 'compact');
  assert.equal(alter('cleanup.policy', 1, null), null);
  assert.equal(value('cleanup.policy'), undefined);
  const before = test.log.length;
  assert.equal(alter('flush.ms', 1, null), null);
  assert.equal(test.log.length, before, 'deleting what is not set writes nothing');
  assert.equal(alter('retention.ms', 2, '1'), "Can't APPEND to key retention.ms because its type is not LIST.");
  assert.equal(alter('retention.ms', 0, null), 'Null value not supported for : retention.ms');
  assert.equal(alter('retention.ms', 0, 'x'), 'Invalid value x for configuration retention.ms: Not a number of type LONG');
  assert.equal(alter('nope', 0, '1'), 'Unknown topic config name: nope');
  assert.equal(alter('retention.ms', 0, '1', 'other'), "The topic 'other' does not exist.");
  assert.equal(alter('retention.ms', 0, '1', ''), 'Default topic resources are not allowed.');
  assert.equal(alter('x', 0, '1', 'q', 0), 'Unknown resource type 0');
  assert.equal(
    alter('min.insync.replicas', 0, '1', '1', 4),
    'Broker-level min.insync.replicas cannot be altered while ELR is enabled.',
  );
  assert.equal(
    alter('min.insync.replicas', 1, null, '', 4),
    'Cluster-level min.insync.replicas cannot be removed while ELR is enabled.',
  );
});

test('AlterConfigs replaces: what is not named is deleted', () => {
  const test = TestController.withBrokers(1);
  test.createTopic('t', 1, 1, { 'retention.ms': '1', 'segment.ms': '2' });
  const alter = (configs: { name: string; value: string | null }[], resourceName = 't') =>
    test.do((controller) =>
      controller.alterConfigs({ resources: [{ resourceType: 2, resourceName, configs }], validateOnly: false }),
    ).responses[0]!.errorMessage;
  const before = test.log.length;
  assert.equal(alter([{ name: 'segment.ms', value: '2' }]), null);
  assert.deepEqual(types(test.log.slice(before)), ['Config']);
  assert.deepEqual(Object.fromEntries(test.image.configs.of(2, 't')), { 'segment.ms': '2' });
  assert.equal(alter([{ name: 'segment.ms', value: null }]), 'Null value not supported for : segment.ms');
  const twice = { name: 'segment.ms', value: '3' };
  assert.equal(alter([twice, twice]), 'Error due to duplicate config keys');
  assert.equal(alter([], 'nope'), "The topic 'nope' does not exist.");
});

test('who registers must belong here and support what is finalized', () => {
  const test = TestController.withBrokers(2);
  const request = {
    brokerId: 3,
    clusterId,
    incarnationId: 'EyLOjCOxSie7Soz9zNIEAg',
    listeners: [],
    features: offeredFeatures,
    rack: null,
    isMigratingZkBroker: false,
    logDirs: [directory(3)],
    previousBrokerEpoch: -1,
  };
  const register = (fields: Partial<BrokerRegistrationRequest>) => () =>
    test.do((controller, context) => controller.registerBroker({ ...request, ...fields }, context));
  assert.throws(register({ clusterId: 'another' }), codeIs('INCONSISTENT_CLUSTER_ID'));
  assert.throws(register({ logDirs: [] }), codeIs('INVALID_REGISTRATION'));
  assert.throws(register({ logDirs: [migratingDirectory] }), codeIs('INVALID_REGISTRATION'));
  assert.throws(register({ logDirs: [directory(1)] }), codeIs('INVALID_REGISTRATION'));
  assert.throws(register({ features: [] }), codeIs('INVALID_REGISTRATION'));
  assert.throws(
    register({ features: [{ name: 'metadata.version', minSupportedVersion: 7, maxSupportedVersion: 29 }] }),
    codeIs('UNSUPPORTED_VERSION'),
  );
  assert.throws(register({ brokerId: 1, logDirs: [directory(1)] }), codeIs('DUPLICATE_BROKER_REGISTRATION'));
  const epoch = test.nextOffset;
  assert.equal(register({})().brokerEpoch, epoch);
  assert.equal(register({ rack: 'moved' })().brokerEpoch, epoch, 'the same incarnation keeps its epoch');
});

test('a heartbeat of an earlier registration is refused', () => {
  const test = TestController.withBrokers(1);
  const request = {
    brokerId: 1,
    brokerEpoch: 5,
    currentMetadataOffset: 0,
    wantFence: false,
    wantShutDown: false,
    offlineLogDirs: [],
    cordonedLogDirs: null,
  };
  assert.throws(() => test.controller.brokerHeartbeat(request, test.context()), codeIs('STALE_BROKER_EPOCH'));
  assert.throws(() => test.controller.brokerHeartbeat({ ...request, brokerId: 9 }, test.context()), codeIs('STALE_BROKER_EPOCH'));
});

test('a broker is unfenced only when it has caught up with its own registration', () => {
  const test = new TestController();
  test.activate();
  test.register(1);
  assert.equal(test.heartbeat(1, { currentMetadataOffset: test.nextOffset - 2 }).isFenced, true);
  const { isCaughtUp, isFenced } = test.heartbeat(1, { currentMetadataOffset: test.nextOffset - 2 });
  assert.deepEqual([isCaughtUp, isFenced], [true, false]);
});

test('a broker without partitions may go at once', () => {
  const test = TestController.withBrokers(2);
  const { shouldShutDown, isFenced } = test.heartbeat(2, { wantShutDown: true });
  assert.deepEqual([shouldShutDown, isFenced], [true, true]);
});

test('the silent are fenced after nine seconds, one at a time', () => {
  const test = TestController.withBrokers(3);
  test.createTopicOn('t', [[1, 2, 3]]);
  test.nowMs += 9_001;
  test.heartbeat(3);
  assert.deepEqual(types(test.tick()), ['PartitionChange', 'BrokerRegistrationChange']);
  assert.deepEqual(types(test.tick()), ['PartitionChange', 'BrokerRegistrationChange']);
  assert.deepEqual(test.partition('t').isr, [3]);
  assert.equal(test.partition('t').leader, 3);
  test.assertInvariants();
});

test('a quiet controller writes a NoOp twice a second', () => {
  const test = TestController.withBrokers(1);
  assert.deepEqual(test.tick(), []);
  test.nowMs += 499;
  assert.deepEqual(types(test.tick()), []);
  test.nowMs += 1;
  assert.deepEqual(types(test.tick()), ['NoOp']);
  const { wakeAtMs } = test.controller.tick(test.context());
  assert.equal(wakeAtMs, test.nowMs + 500);
});

test('when a directory fails its partitions go elsewhere', () => {
  const test = TestController.withBrokers(1);
  test.register(2, { logDirs: [directory(2), directory(22)] });
  test.heartbeat(2);
  test.createTopicOn('t', [[2, 1]]);
  const { id: topicId } = test.image.topics.byName('t')!;
  const { epoch: brokerEpoch } = test.image.brokers.get(2)!;
  assert.deepEqual(test.partition('t').directories, [unassignedDirectory, directory(1)]);
  const directories = [{ id: directory(22), topics: [{ topicId, partitions: [{ partitionIndex: 0 }] }] }];
  test.do((controller) => controller.assignReplicasToDirs({ brokerId: 2, brokerEpoch, directories }));
  assert.deepEqual(test.partition('t').directories, [directory(22), directory(1)]);
  test.heartbeat(2, { offlineLogDirs: [directory(22)] });
  assert.deepEqual([test.partition('t').leader, test.partition('t').isr], [1, [1]]);
  assert.deepEqual(test.image.brokers.get(2)!.directories, [directory(2)]);
});

test('features are updated all or none, with reasons', () => {
  const test = TestController.withBrokers(1);
  const update = (...updates: [string, number, number][]) =>
    test.do((controller) =>
      controller.updateFeatures({
        featureUpdates: updates.map(([feature, maxVersionLevel, upgradeType]) => ({
          feature,
          maxVersionLevel,
          upgradeType,
          allowDowngrade: false,
        })),
        timeoutMs: 0,
        validateOnly: false,
      }),
    ).errorMessage;
  const failed = 'The update failed for all features since the following feature had an error: ';
  assert.equal(
    update(['group.version', 5, 1]),
    `${failed}Invalid update version 5 for feature group.version. Local controller 1 only supports versions 0-1`,
  );
  assert.equal(
    update(['nope', 1, 1]),
    `${failed}Invalid update version 1 for feature nope. Local controller 1 does not support this feature.`,
  );
  assert.match(
    update(['transaction.version', 1, 1])!,
    /Can't downgrade the version of this feature without setting the upgrade type/,
  );
  assert.match(update(['metadata.version', 25, 2])!, /Unsupported metadata.version downgrade from 30 to 25. Refusing to perform/);
  assert.match(update(['group.version', 0, 2], ['share.version', 9, 1])!, /Invalid update version 9 for feature share.version/);
  assert.equal(test.image.features.level('group.version'), 1);
  assert.equal(update(['transaction.version', 1, 2]), null);
  assert.equal(update(['transaction.version', 2, 1]), null);
});

test('SCRAM: a salted password becomes the keys that Kafka stores', () => {
  const test = TestController.withBrokers(1);
  const saltedPassword = Uint8Array.from(pbkdf2Sync('pw', 'salty', 4096, 32, 'sha256'));
  const upsertion = { name: 'bob', mechanism: 1, iterations: 4096, salt: new TextEncoder().encode('salty'), saltedPassword };
  const alter = (fields: Partial<typeof upsertion>, deletions: { name: string; mechanism: number }[] = []) =>
    test.do((controller) => controller.alterUserScramCredentials({ deletions, upsertions: [{ ...upsertion, ...fields }] }))
      .results[0]!;
  assert.equal(alter({ iterations: 100 }).errorMessage, 'Too few iterations');
  assert.equal(alter({ iterations: 20_000 }).errorMessage, 'Too many iterations');
  assert.equal(alter({ name: '' }).errorMessage, 'Username must not be empty');
  assert.equal(alter({ mechanism: 9 }).errorMessage, 'Unknown SCRAM mechanism');
  assert.equal(
    alter({}, [{ name: 'bob', mechanism: 1 }]).errorMessage,
    'A user credential cannot be altered twice in the same request',
  );
  assert.equal(alter({}).errorCode, 0);
  const { storedKey, serverKey, iterations } = test.image.scram.credential(1, 'bob')!;
  assert.equal(Buffer.from(storedKey).toString('base64'), 'yEo66yVDyGu3Pk2QaHes1e8jCC8BkaZyPHn7X4b4cWM=');
  assert.equal(Buffer.from(serverKey).toString('base64'), 'yIBJE4+bNcBXno9aTa/HiWFMubKgqxxt5rPKBwZNmSY=');
  assert.equal(iterations, 4096);
  const { results } = test.do((controller) =>
    controller.describeUserScramCredentials({ users: [{ name: 'bob' }, { name: 'nobody' }] }),
  );
  assert.deepEqual(
    results.map(({ user, errorCode }) => [user, errorCode]),
    [
      ['bob', 0],
      ['nobody', errors.RESOURCE_NOT_FOUND.code],
    ],
  );
});

test('ACLs: created once, found by resource, deleted by filter', () => {
  const test = TestController.withBrokers(1);
  const creation = {
    resourceType: 2,
    resourceName: 'orders',
    resourcePatternType: 4,
    principal: 'User:x',
    host: '*',
    operation: 3,
    permissionType: 3,
  };
  const create = (...creations: (typeof creation)[]) =>
    test.do((controller, context) => controller.createAcls({ creations }, context)).results;
  assert.deepEqual(
    create(creation, creation).map(({ errorCode }) => errorCode),
    [0, 0],
  );
  assert.equal(test.image.acls.count, 1);
  assert.equal(create({ ...creation, resourceName: '' })[0]!.errorMessage, 'Invalid empty resource name');
  assert.match(create({ ...creation, principal: 'x' })[0]!.errorMessage!, /^Could not parse principal from `x`/);
  assert.match(create({ ...creation, resourceType: 4 })[0]!.errorMessage!, /kafka-cluster$/);
  const filter = {
    resourceTypeFilter: 2,
    resourceNameFilter: 'orders-eu',
    patternTypeFilter: 2,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  };
  const described = test.do((controller) => controller.describeAcls(filter));
  assert.deepEqual(
    described.resources.map(({ resourceName, acls }) => [resourceName, acls.length]),
    [['orders', 1]],
  );
  assert.equal(test.do((controller) => controller.describeAcls({ ...filter, patternTypeFilter: 3 })).resources.length, 0);
  const { filterResults } = test.do((controller) => controller.deleteAcls({ filters: [filter, filter] }));
  assert.deepEqual(
    filterResults.map(({ matchingAcls }) => matchingAcls.length),
    [1, 1],
  );
  assert.equal(test.image.acls.count, 0);
});

for (const [entity, key, value, text] of [
  [{}, 'producer_byte_rate', 1, 'Invalid empty client quota entity'],
  [{ xx: 'u' }, 'producer_byte_rate', 1, 'Unhandled client quota entity type: xx'],
  [{ user: '' }, 'producer_byte_rate', 1, 'Empty user not supported'],
  [{ user: 'u' }, 'nope', 1, 'Invalid configuration key nope'],
  [{ user: 'u' }, 'producer_byte_rate', 0, 'Quota producer_byte_rate must be greater than 0'],
  [{ user: 'u' }, 'producer_byte_rate', 1.5, 'producer_byte_rate cannot be a fractional value.'],
  [{ user: 'u' }, 'producer_byte_rate', 1e20, 'Proposed value for producer_byte_rate is too large for a LONG.'],
  [{ ip: '1.2.3.4' }, 'connection_creation_rate', 1e10, 'Proposed value for connection_creation_rate is too large for an INT.'],
  [{ ip: 'not an ip' }, 'connection_creation_rate', 1, 'not an ip is not a valid IP or resolvable host.'],
  [
    { ip: '1.2.3.4', user: 'u' },
    'x',
    1,
    'Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId',
  ],
  [{ user: null, 'client-id': 'c' }, 'request_percentage', 0.5, null],
  [{ ip: null }, 'connection_creation_rate', 7, null],
] as const) {
  test(`quota ${key}=${value} for ${JSON.stringify(entity)}: ${text ?? 'set'}`, () => {
    const test = TestController.withBrokers(1);
    const parts = Object.entries(entity).map(([entityType, entityName]) => ({
      entityType,
      entityName: entityName as string | null,
    }));
    const entries = [{ entity: parts, ops: [{ key, value, remove: false }] }];
    const answer = test.do((controller) => controller.alterClientQuotas({ entries, validateOnly: false })).entries[0]!;
    assert.equal(answer.errorMessage, text);
    const components = parts.map(({ entityType }) => ({ entityType, matchType: 2, match: null }));
    if (text !== null) return;
    const found = test.do((controller) => controller.describeClientQuotas({ components, strict: true })).entries!;
    assert.deepEqual(
      found.map(({ values }) => values),
      [[{ key, value }]],
    );
  });
}

test('delegation tokens live, are renewed by whom they name, and expire', () => {
  const test = TestController.withBrokers(1, { tokenSecretKey: 'secret', tokenExpiryCheckIntervalMs: 1000 });
  const request = {
    ownerPrincipalType: null,
    ownerPrincipalName: null,
    renewers: [{ principalType: 'User', principalName: 'r' }],
    maxLifetimeMs: 5000,
  };
  const as = (principal: string) => ({ ...test.context(), principal });
  const token = test.do((controller) => controller.createDelegationToken(request as never, as('User:o')));
  assert.deepEqual([token.principalName, token.maxTimestampMs - token.issueTimestampMs], ['o', 5000]);
  const renewal = { hmac: token.hmac, renewPeriodMs: 100_000 };
  assert.throws(() => test.controller.renewDelegationToken(renewal, as('User:z')), codeIs('DELEGATION_TOKEN_OWNER_MISMATCH'));
  assert.equal(
    test.do((controller) => controller.renewDelegationToken(renewal, as('User:r'))).expiryTimestampMs,
    token.maxTimestampMs,
  );
  test.tick();
  test.nowMs += 5001;
  test.heartbeat(1);
  assert.ok(types(test.tick()).includes('RemoveDelegationToken'));
  assert.throws(() => test.controller.renewDelegationToken(renewal, as('User:o')), codeIs('DELEGATION_TOKEN_NOT_FOUND'));
});
