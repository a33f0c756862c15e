import {
  AddRaftVoter,
  type Api,
  ApiVersions,
  BeginQuorumEpoch,
  EndQuorumEpoch,
  Fetch,
  FetchSnapshot,
  Reader,
  RemoveRaftVoter,
  UpdateRaftVoter,
  Vote,
  Writer,
} from '@ottla/protocol';
import type { RaftApi } from '../messages.ts';

const apis: Readonly<Record<RaftApi, Api>> = {
  vote: Vote as Api,
  beginQuorumEpoch: BeginQuorumEpoch as Api,
  endQuorumEpoch: EndQuorumEpoch as Api,
  fetch: Fetch as Api,
  fetchSnapshot: FetchSnapshot as Api,
  addRaftVoter: AddRaftVoter as Api,
  removeRaftVoter: RemoveRaftVoter as Api,
  updateRaftVoter: UpdateRaftVoter as Api,
  apiVersions: ApiVersions as Api,
};

/** The newest version that both ends know; a node of the simulation can be older. */
export const versionOf = (api: RaftApi, most = Number.POSITIVE_INFINITY): number => Math.min(apis[api].maxVersion, most);

/** Through its bytes, so that what a version cannot carry does not arrive. Throws UNSUPPORTED_VERSION. */
export function asReceived(api: RaftApi, kind: 'request' | 'response', message: object, version: number): object {
  const codec = apis[api][kind];
  const writer = new Writer();
  codec.write(writer, message, version);
  return codec.read(new Reader(writer.bytes()), version);
}
