import assert from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorName, IncrementalAlterConfigs } from '@ottla/protocol';
import { ask } from '../broker/ask.ts';

const groupResource = 32;
const set = 0;

export async function setGroupConfig(
  { port }: { readonly port: number },
  groupId: string,
  name: string,
  value: string,
): Promise<void> {
  const configs = [{ name, configOperation: set, value }];
  const resources = [{ resourceType: groupResource, resourceName: groupId, configs }];
  const { responses } = await ask(port, IncrementalAlterConfigs, 1, { resources, validateOnly: false });
  const [{ errorCode, errorMessage }] = responses as [(typeof responses)[number]];
  assert.equal(errorName(errorCode), 'NONE', `${name} of ${groupId}: ${errorMessage}`);
  // The broker acts on it when its image has followed; nothing tells when.
  await sleep(500);
}
