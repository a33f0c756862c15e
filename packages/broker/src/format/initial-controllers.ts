import { isUuid, type Uuid } from '@ottla/protocol';
import { type Voter, VoterSet } from '@ottla/raft';
import { FormatError } from './format-error.ts';

/** Reads `id@host:port:directoryId,...`, the first voters of a dynamic quorum. Throws FormatError. */
export function parseInitialControllers(text: string, listenerName: string): VoterSet {
  const voters = text.split(',').map((entry) => parseVoter(entry.trim(), listenerName));
  const ids = voters.map(({ id }) => id);
  const repeated = ids.find((id, index) => ids.indexOf(id) < index);
  if (repeated !== undefined) throw new FormatError(`Node id ${repeated} was specified more than once.`);
  return new VoterSet(voters);
}

export const initialVoter = (id: number, directoryId: Uuid, endpoint: { name: string; host: string; port: number }): Voter => ({
  id,
  directoryId,
  endpoints: [endpoint],
  minKRaftVersion: 0,
  maxKRaftVersion: 1,
});

function parseVoter(text: string, listenerName: string): Voter {
  const at = text.indexOf('@');
  if (at < 0) throw new FormatError('No @ found in dynamic voter string.');
  const id = text.slice(0, at);
  if (!/^[0-9]+$/.test(id)) throw new FormatError(`Failed to parse node id in dynamic voter string.`);
  const rest = text.slice(at + 1);
  if (rest === '') throw new FormatError('No hostname found after node id.');
  const { host, afterHost } = splitHost(rest);
  if (!afterHost.startsWith(':')) throw new FormatError('No colon following hostname could be found.');
  const colon = afterHost.indexOf(':', 1);
  if (colon < 0) throw new FormatError('No colon following port could be found.');
  const port = afterHost.slice(1, colon);
  if (!/^[0-9]+$/.test(port) || Number(port) > 65535) throw new FormatError('Failed to parse port in dynamic voter string.');
  const directoryId = afterHost.slice(colon + 1);
  if (!isUuid(directoryId)) throw new FormatError('Failed to parse directory ID in dynamic voter string.');
  return initialVoter(Number(id), directoryId, { name: listenerName, host, port: Number(port) });
}

function splitHost(text: string): { host: string; afterHost: string } {
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end < 0) throw new FormatError('Hostname began with left bracket, but no right bracket was found.');
    return { host: text.slice(1, end), afterHost: text.slice(end + 1) };
  }
  const colon = text.indexOf(':');
  if (colon < 0) throw new FormatError('No colon following hostname could be found.');
  return { host: text.slice(0, colon), afterHost: text.slice(colon) };
}
