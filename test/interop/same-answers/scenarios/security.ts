import {
  AlterClientQuotas,
  AlterUserScramCredentials,
  CreateAcls,
  DeleteAcls,
  DescribeAcls,
  DescribeClientQuotas,
  DescribeUserScramCredentials,
  UpdateFeatures,
} from '@ottla/protocol';
import type { Scenario } from './scenario.ts';

const salt = new Uint8Array([1, 2, 3, 4]);
const saltedPassword = new Uint8Array(32);

export const securityScenarios: readonly Scenario[] = [
  {
    name: 'client quotas',
    async run(probe) {
      const alter = (what: string, entity: [string, string | null][], ops: [string, number, boolean?][], rest: object = {}) =>
        probe.ask(what, AlterClientQuotas, 1, {
          entries: [
            {
              entity: entity.map(([entityType, entityName]) => ({ entityType, entityName })),
              ops: ops.map(([key, value, remove = false]) => ({ key, value, remove })),
            },
          ],
          ...rest,
        });
      await alter('a user', [['user', 'u']], [['producer_byte_rate', 1000]]);
      await alter('a client', [['client-id', 'c']], [['consumer_byte_rate', 1000.5]]);
      await alter(
        'user and client',
        [
          ['user', 'u'],
          ['client-id', 'c'],
        ],
        [['request_percentage', 50]],
      );
      await alter('default user', [['user', null]], [['controller_mutation_rate', 5]]);
      await alter('an ip', [['ip', '127.0.0.9']], [['connection_creation_rate', 10]]);
      await alter('a bad ip', [['ip', 'not an ip']], [['connection_creation_rate', 10]]);
      await alter(
        'ip and user',
        [
          ['ip', '127.0.0.9'],
          ['user', 'u'],
        ],
        [['connection_creation_rate', 10]],
      );
      await alter('an unknown entity', [['planet', 'mars']], [['producer_byte_rate', 1]]);
      await alter('no entity', [], [['producer_byte_rate', 1]]);
      await alter(
        'an entity twice',
        [
          ['user', 'a'],
          ['user', 'b'],
        ],
        [['producer_byte_rate', 1]],
      );
      await alter('an empty name', [['user', '']], [['producer_byte_rate', 1]]);
      await alter('an unknown key', [['user', 'u']], [['no_such_rate', 1]]);
      await alter('a key of ips', [['user', 'u']], [['connection_creation_rate', 1]]);
      for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e300])
        await alter(`value ${value}`, [['user', 'v']], [['producer_byte_rate', value]], { validateOnly: true });
      await alter('an ip rate with a fraction', [['ip', '127.0.0.9']], [['connection_creation_rate', 1.5]], {
        validateOnly: true,
      });
      await alter('remove what is not there', [['user', 'w']], [['producer_byte_rate', 0, true]]);
      await alter(
        'a key twice',
        [['user', 'u']],
        [
          ['producer_byte_rate', 1],
          ['producer_byte_rate', 2],
        ],
        { validateOnly: true },
      );
      await alter('nothing', [['user', 'u']], []);
      const describe = (what: string, components: [string, number, string | null][], strict = false) =>
        probe.ask(what, DescribeClientQuotas, 1, {
          components: components.map(([entityType, matchType, match]) => ({ entityType, matchType, match })),
          strict,
        });
      await describe('all', []);
      await describe('all, strictly', [], true);
      await describe('users', [['user', 2, null]]);
      await describe('users, strictly', [['user', 2, null]], true);
      await describe('u', [['user', 0, 'u']]);
      await describe('default users', [['user', 1, null]]);
      await describe('u and c', [
        ['user', 0, 'u'],
        ['client-id', 0, 'c'],
      ]);
      await describe('ips', [['ip', 2, null]]);
      await describe('match type 3', [['user', 3, null]]);
      await describe('exact without name', [['user', 0, null]]);
      await describe('default with name', [['user', 1, 'u']]);
      await describe('twice', [
        ['user', 2, null],
        ['user', 2, null],
      ]);
      await describe('an unknown entity', [['planet', 2, null]]);
      await describe('no entity', [['', 2, null]]);
      await describe('ip and user', [
        ['ip', 2, null],
        ['user', 2, null],
      ]);
      // Kafka would hold back whoever makes topics in the scenarios that follow.
      await alter(
        'another of the default user',
        [['user', null]],
        [
          ['controller_mutation_rate', 0, true],
          ['producer_byte_rate', 1e12],
        ],
      );
      await describe('default users, with another', [['user', 1, null]]);
    },
  },
  {
    name: 'SCRAM credentials',
    async run(probe) {
      const upsert = (what: string, ...upsertions: object[]) =>
        probe.ask(what, AlterUserScramCredentials, 0, { upsertions: upsertions as never });
      const one = { name: 'alice', mechanism: 1, iterations: 4096, salt, saltedPassword };
      await upsert('a user', one);
      await upsert('SHA-512', { ...one, mechanism: 2 });
      await upsert('too few iterations', { ...one, iterations: 4095 });
      await upsert('too many iterations', { ...one, iterations: 16385 });
      await upsert('mechanism 0', { ...one, mechanism: 0 });
      await upsert('mechanism 3', { ...one, mechanism: 3 });
      await upsert('no name', { ...one, name: '' });
      await upsert('twice', one, one);
      await probe.ask('delete unknown', AlterUserScramCredentials, 0, {
        deletions: [
          { name: 'bob', mechanism: 1 },
          { name: '', mechanism: 1 },
          { name: 'alice', mechanism: 9 },
        ],
      });
      await probe.ask('delete and insert', AlterUserScramCredentials, 0, {
        deletions: [{ name: 'alice', mechanism: 1 }],
        upsertions: [one],
      });
      await probe.ask('nothing', AlterUserScramCredentials, 0, {});
      await probe.ask('all', DescribeUserScramCredentials, 0, { users: null });
      await probe.ask('some', DescribeUserScramCredentials, 0, { users: [{ name: 'alice' }, { name: 'bob' }] });
      await probe.ask('twice', DescribeUserScramCredentials, 0, { users: [{ name: 'alice' }, { name: 'alice' }] });
      await probe.ask('empty', DescribeUserScramCredentials, 0, { users: [{ name: '' }] });
      await probe.ask('none', DescribeUserScramCredentials, 0, { users: [] });
      await probe.ask('delete', AlterUserScramCredentials, 0, { deletions: [{ name: 'alice', mechanism: 1 }] });
      await probe.ask('left', DescribeUserScramCredentials, 0, { users: null });
    },
  },
  {
    name: 'ACLs without authorizer',
    async run(probe) {
      await probe.askInEachVersion('describe', DescribeAcls, {
        resourceTypeFilter: 1,
        patternTypeFilter: 1,
        resourceNameFilter: null,
        principalFilter: null,
        hostFilter: null,
        operation: 1,
        permissionType: 1,
      });
      await probe.askInEachVersion('create', CreateAcls, {
        creations: [{ resourceType: 2, resourceName: 't', principal: 'User:a', host: '*', operation: 3, permissionType: 3 }],
      });
      await probe.askInEachVersion('delete', DeleteAcls, {
        filters: [
          {
            resourceTypeFilter: 2,
            resourceNameFilter: null,
            principalFilter: null,
            hostFilter: null,
            operation: 1,
            permissionType: 1,
          },
        ],
      });
    },
  },
  {
    name: 'UpdateFeatures',
    async run(probe) {
      const ask = (what: string, ...featureUpdates: object[]) =>
        probe.askInEachVersion(
          what,
          UpdateFeatures,
          (version) => ({ featureUpdates: featureUpdates as never, ...(version >= 1 ? { validateOnly: true } : {}) }),
          { versions: [1, 2] },
        );
      await ask('nothing');
      await ask('an unknown feature', { feature: 'no.such.feature', maxVersionLevel: 1, upgradeType: 1 });
      await ask('metadata.version too high', { feature: 'metadata.version', maxVersionLevel: 999, upgradeType: 1 });
      await ask('metadata.version lower', { feature: 'metadata.version', maxVersionLevel: 7, upgradeType: 1 });
      await ask('metadata.version lower, safely', { feature: 'metadata.version', maxVersionLevel: 24, upgradeType: 2 });
      await ask('group.version off', { feature: 'group.version', maxVersionLevel: 0, upgradeType: 1 });
      await ask('group.version off, safely', { feature: 'group.version', maxVersionLevel: 0, upgradeType: 2 });
      await ask('upgrade type 9', { feature: 'group.version', maxVersionLevel: 1, upgradeType: 9 });
      await ask('a negative level', { feature: 'group.version', maxVersionLevel: -1, upgradeType: 1 });
      await ask('no name', { feature: '', maxVersionLevel: 1, upgradeType: 1 });
    },
  },
];
