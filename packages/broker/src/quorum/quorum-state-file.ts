/**
 * `__cluster_metadata-0/quorum-state`: one line of JSON with what this node must remember of elections.
 *
 *   kraft.version 0  {"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}
 *   kraft.version 1  {"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
 *
 * -1 stands for nobody. Written to a temporary file, synced and renamed, so a crash leaves the old or the new one.
 */
import { isUuid, type Uuid, ZERO_UUID } from '@ottla/protocol';
import type { ElectionState } from '@ottla/raft';
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';

export const quorumStateName = 'quorum-state';

const maxEpoch = 0x7fff_ffff;

/** Null when there is no file: the node never took part in an election. Throws CorruptFileError. */
export function readQuorumState(files: Files, directory: string): ElectionState | null {
  const path = `${directory}/${quorumStateName}`;
  if (!files.stat(path)) return null;
  const data = parseObject(path, new TextDecoder().decode(files.readFile(path)));
  const version = data['data_version'];
  if (version !== 0 && version !== 1) throw new CorruptFileError(path, `data_version ${version} is neither 0 nor 1`);
  const leaderEpoch = integer(path, data, 'leaderEpoch');
  const leaderId = integer(path, data, 'leaderId');
  const votedId = integer(path, data, 'votedId');
  if (leaderEpoch < 0) throw new CorruptFileError(path, `leaderEpoch ${leaderEpoch} is negative`);
  if (leaderEpoch > maxEpoch) throw new CorruptFileError(path, `leaderEpoch ${leaderEpoch} is larger than epochs can be`);
  return {
    leaderEpoch,
    leaderId: leaderId < 0 ? null : leaderId,
    votedFor: votedId < 0 ? null : { id: votedId, directoryId: version === 1 ? directoryIdOf(path, data) : ZERO_UUID },
  };
}

export type QuorumStateFormat = { readonly kRaftVersion: number; readonly voterIds: readonly number[] };

/** Durable when it returns. */
export function writeQuorumState(files: Files, directory: string, state: ElectionState, format: QuorumStateFormat): void {
  const leaderId = state.leaderId ?? -1;
  const { leaderEpoch } = state;
  const votedId = state.votedFor?.id ?? -1;
  const data =
    format.kRaftVersion === 0
      ? {
          clusterId: '',
          leaderId,
          leaderEpoch,
          votedId,
          appliedOffset: 0,
          currentVoters: format.voterIds.map((voterId) => ({ voterId })),
          data_version: 0,
        }
      : { leaderId, leaderEpoch, votedId, votedDirectoryId: state.votedFor?.directoryId ?? ZERO_UUID, data_version: 1 };
  files.writeFileDurably(`${directory}/${quorumStateName}`, JSON.stringify(data));
}

function parseObject(path: string, text: string): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data as Record<string, unknown>;
  } catch {
    // Falls through: what is no JSON is as corrupt as JSON that is no object.
  }
  throw new CorruptFileError(path, 'it is not one object of JSON');
}

function integer(path: string, data: Record<string, unknown>, name: string): number {
  const value = data[name];
  if (Number.isInteger(value)) return value as number;
  throw new CorruptFileError(path, `${name} is no whole number`);
}

function directoryIdOf(path: string, data: Record<string, unknown>): Uuid {
  const value = data['votedDirectoryId'];
  if (typeof value === 'string' && isUuid(value)) return value;
  throw new CorruptFileError(path, 'votedDirectoryId is no uuid');
}
