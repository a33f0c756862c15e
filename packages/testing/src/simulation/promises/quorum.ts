/** The controllers' quorum, its log, and the metadata that everybody makes of it. */
import { batchesOf, KafkaError } from '@ottla/protocol';
import { isController } from '../plan.ts';
import type { Image, Sight } from '../sight.ts';
import type { SimulatedNode } from '../simulated-cluster.ts';
import { type ClusterPromise, promise } from './cluster-promise.ts';

const metadataDirectory = ({ directory }: SimulatedNode): string => `${directory}/__cluster_metadata-0`;

export const quorum: readonly ClusterPromise[] = [
  promise('oneActiveController', 'in one epoch of the quorum no two controllers lead it', (broken) => {
    const leaders = new Map<number, number>();
    return {
      look({ changedNodes }) {
        for (const { node, parts } of changedNodes) {
          if (!parts.quorum.isLeader) continue;
          const { leaderEpoch } = parts.quorum.leaderAndEpoch;
          const known = leaders.get(leaderEpoch);
          if (known === undefined) leaders.set(leaderEpoch, node.id);
          else if (known !== node.id)
            broken(`node ${node.id} leads the quorum in epoch ${leaderEpoch}, in which node ${known} led it`);
        }
      },
    };
  }),

  promise('leadersOfTheQuorumAgree', 'all who know a leader of an epoch of the quorum know the same', (broken) => {
    const leaders = new Map<number, { leader: number; by: number }>();
    return {
      look({ changedNodes }) {
        for (const { node, parts } of changedNodes) {
          const { leaderId, leaderEpoch } = parts.quorum.leaderAndEpoch;
          if (leaderId === null || leaderId < 0) continue;
          const known = leaders.get(leaderEpoch);
          if (!known) leaders.set(leaderEpoch, { leader: leaderId, by: node.id });
          else if (known.leader !== leaderId) {
            broken(
              `in epoch ${leaderEpoch} node ${node.id} takes ${leaderId} for the leader, and node ${known.by} ${known.leader}`,
            );
          }
        }
      },
    };
  }),

  promise('quorumEpochsAscend', 'a voter never goes back to an earlier epoch, whatever happens to it', (broken) => {
    const epochs = new Map<number, number>();
    return {
      look({ changedNodes }) {
        for (const { node, parts } of changedNodes) {
          const { leaderEpoch } = parts.quorum.leaderAndEpoch;
          const before = epochs.get(node.id) ?? -1;
          if (isController(node.plan) && leaderEpoch < before) {
            broken(`node ${node.id} went from epoch ${before} of the quorum to ${leaderEpoch}`);
          }
          epochs.set(node.id, Math.max(before, leaderEpoch));
        }
      },
    };
  }),

  promise('oneVotePerEpoch', 'a voter writes down one vote in an epoch, and never another', (broken) => {
    const votes = new Map<string, number>();
    return {
      look({ cluster }) {
        for (const node of cluster.nodes) {
          if (!node.hasNewElectionState) continue;
          node.hasNewElectionState = false;
          const state = electionState(node);
          if (!state || state.votedId < 0) continue;
          const place = `${node.id} ${state.leaderEpoch}`;
          const before = votes.get(place);
          if (before !== undefined && before !== state.votedId) {
            broken(`node ${node.id} voted for ${state.votedId} in epoch ${state.leaderEpoch}, and for ${before} before`);
          }
          votes.set(place, state.votedId);
        }
      },
    };
  }),

  promise('epochsAreDurable', 'an epoch of the quorum that a voter is in is written down', (broken) => ({
    look({ changedNodes }) {
      for (const { node, parts } of changedNodes) {
        if (!isController(node.plan)) continue;
        const state = electionState(node);
        const { leaderEpoch } = parts.quorum.leaderAndEpoch;
        if (state && state.leaderEpoch < leaderEpoch) {
          broken(`node ${node.id} is in epoch ${leaderEpoch} of the quorum, and ${state.leaderEpoch} is written down`);
        }
      }
    },
  })),

  promise(
    'metadataHighWatermarkNeverRetreats',
    'what a node has called committed of the metadata stays committed to it',
    (broken) => {
      const marks = new Map<string, number>();
      return {
        look({ changedNodes }) {
          for (const { node, parts } of changedNodes) {
            const life = `${node.id} ${node.lives}`;
            const { highWatermark } = parts.quorum;
            const before = marks.get(life) ?? -1;
            if (highWatermark < before)
              broken(`node ${node.id} went from high watermark ${before} of the metadata to ${highWatermark}`);
            marks.set(life, highWatermark);
          }
        },
      };
    },
  ),

  promise(
    'committedMetadataIsOnAMajority',
    'what is committed of the metadata was written by a majority of the voters',
    (broken, { plan }) => {
      const ends = new Map<number, number>();
      const running = new Set<number>();
      const majority = Math.floor(plan.nodes.filter(isController).length / 2) + 1;
      // A quorum that removes voters needs fewer.
      const mayShrink = plan.steps.some((step) => step.do === 'removeVoter');
      return {
        look({ cluster, nodes }) {
          let committed = 0;
          for (const { parts } of nodes) committed = Math.max(committed, parts.quorum.highWatermark);
          for (const node of cluster.nodes) {
            if (!isController(node.plan)) continue;
            const known = ends.get(node.id) ?? 0;
            if (node.parts) ends.set(node.id, Math.max(known, node.parts.quorum.nextOffset));
            // What it wrote last, just before it ended.
            else if (running.has(node.id)) ends.set(node.id, Math.max(known, writtenEndOffset(node)));
            if (node.parts) running.add(node.id);
            else running.delete(node.id);
          }
          if (mayShrink || ends.size < majority) return;
          const holders = [...ends.values()].filter((end) => end >= committed);
          if (holders.length < majority)
            broken(`the metadata is committed to ${committed}, and the voters end at ${[...ends.values()]}`);
        },
      };
    },
  ),

  promise(
    'committedMetadataIsDurable',
    'what is committed of the metadata is on the disks of a majority of the voters, whatever they lose with their power',
    (broken, { plan }) => {
      const majority = Math.floor(plan.nodes.filter(isController).length / 2) + 1;
      const mayShrink = plan.steps.some((step) => step.do === 'removeVoter');
      let known = 0;
      return {
        look({ cluster, changedNodes }) {
          let committed = known;
          for (const { parts } of changedNodes) committed = Math.max(committed, parts.quorum.highWatermark);
          if (mayShrink || committed === known) return;
          known = committed;
          const ends = cluster.nodes.filter(({ plan: node }) => isController(node)).map(durableEndOffset);
          if (ends.filter((end) => end >= committed).length < majority)
            broken(`the metadata is committed to ${committed}, and the voters' disks have it to ${ends}`);
        },
      };
    },
  ),

  promise(
    'quorumLeadersHaveAllThatIsCommitted',
    'whoever leads the quorum in its latest epoch has all metadata that was committed',
    (broken) => {
      let committed = 0;
      let latest = -1;
      return {
        look({ changedNodes }) {
          for (const { parts } of changedNodes) {
            committed = Math.max(committed, parts.quorum.highWatermark);
            if (parts.quorum.isLeader) latest = Math.max(latest, parts.quorum.leaderAndEpoch.leaderEpoch);
          }
          for (const { node, parts } of changedNodes) {
            const { isLeader, leaderAndEpoch, nextOffset } = parts.quorum;
            if (!isLeader || leaderAndEpoch.leaderEpoch !== latest || nextOffset >= committed) continue;
            broken(
              `node ${node.id} leads the quorum in epoch ${latest}, its log ends at ${nextOffset}, and ${committed} was committed`,
            );
          }
        },
      };
    },
  ),

  promise('metadataLogsAgree', 'the logs of the metadata are the same as far as they are committed', (broken) => {
    const batches = new Map<number, { text: string; by: number }>();
    const look = ({ nodes }: Sight): void => {
      for (const { node, parts } of nodes) {
        for (const { lastOffset, text } of metadataBatches(node, parts.quorum.highWatermark)) {
          const known = batches.get(lastOffset);
          if (!known) batches.set(lastOffset, { text, by: node.id });
          else if (known.text !== text)
            broken(`the metadata log of node ${node.id} has ${text}, that of node ${known.by} ${known.text}`);
        }
      }
    };
    return { lookClosely: look, judge: look };
  }),

  promise('imagesAgreeAtSameOffset', 'nodes that have applied as much of the metadata have made the same of it', (broken) => {
    const images = new Map<number, { hash: string; by: number; records: string[] }>();
    const look = ({ nodes }: Sight): void => {
      for (const { node, parts } of nodes) {
        const { appliedOffset, image } = parts.metadata;
        if (appliedOffset < 0) continue;
        const known = images.get(appliedOffset);
        if (known?.by === node.id) continue;
        const records = recordsOf(image);
        const hash = records.join('\n');
        if (!known) images.set(appliedOffset, { hash, by: node.id, records });
        else if (known.hash !== hash) {
          const mine = records.filter((record) => !known.records.includes(record));
          const theirs = known.records.filter((record) => !records.includes(record));
          broken(
            `at offset ${appliedOffset} node ${node.id} has ${mine.slice(0, 3)}, and node ${known.by} ${theirs.slice(0, 3)}`,
          );
        }
      }
    };
    return { lookClosely: look, judge: look };
  }),

  promise('snapshotsAreWhatTheLogSays', 'snapshots of the metadata of one offset say the same, whoever wrote them', (broken) => {
    const snapshots = new Map<string, { bytes: string; by: number }>();
    const look = ({ cluster }: Sight): void => {
      for (const node of cluster.nodes) {
        if (node.state !== 'up') continue;
        for (const name of metadataFiles(node, '.checkpoint')) {
          if (snapshots.get(name)?.by === node.id) continue;
          const bytes = snapshotText(node.machine.files.peek(`${metadataDirectory(node)}/${name}`)!);
          const known = snapshots.get(name);
          if (!known) snapshots.set(name, { bytes, by: node.id });
          else if (known.bytes !== bytes) broken(`snapshot ${name} of node ${node.id} is not that of node ${known.by}`);
        }
      }
    };
    return { lookClosely: look, judge: look };
  }),

  promise('everybodyHearsOfAllMetadata', 'when the cluster rests all nodes have applied the same metadata', (broken) => ({
    judge({ nodes }) {
      const offsets = nodes.map(({ node, parts }) => ({ id: node.id, offset: parts.metadata.appliedOffset }));
      const newest = Math.max(...offsets.map(({ offset }) => offset));
      for (const { id, offset } of offsets) {
        // What is being appended while nobody asks for anything.
        if (newest - offset > 2) broken(`node ${id} has applied the metadata to ${offset}, others to ${newest}`);
      }
    },
  })),

  promise('brokerEpochsAscend', 'each registration of a broker has a higher epoch than the one before', (broken) => {
    const epochs = new Map<number, { epoch: number; at: number }>();
    return {
      look({ changedNodes }) {
        for (const { parts } of changedNodes) {
          const { appliedOffset, image } = parts.metadata;
          for (const { id, epoch } of image.brokers.values()) {
            const before = epochs.get(id);
            if (before && before.at > appliedOffset) continue;
            if (before && epoch < before.epoch) broken(`broker ${id} went from broker epoch ${before.epoch} to ${epoch}`);
            epochs.set(id, { epoch, at: appliedOffset });
          }
        }
      },
    };
  }),

  promise('producerIdsAreGivenOnce', 'blocks of producer ids ascend', (broken) => {
    let latest = { next: -1, at: -1 };
    return {
      look({ changedNodes }) {
        for (const { parts } of changedNodes) {
          const { appliedOffset: at, image } = parts.metadata;
          if (at <= latest.at) continue;
          const next = image.producerIds.nextProducerId;
          if (next < latest.next) broken(`producer ids begin again at ${next}, and those below ${latest.next} were given out`);
          latest = { next, at };
        }
      },
    };
  }),

  promise('metadataIsNeverForgotten', 'a node never applies less of the metadata than it has', (broken) => {
    const applied = new Map<string, number>();
    return {
      look({ changedNodes }) {
        for (const { node, parts } of changedNodes) {
          const life = `${node.id} ${node.lives}`;
          const now = parts.metadata.appliedOffset;
          const before = applied.get(life) ?? -1;
          if (now < before) broken(`node ${node.id} had applied the metadata to ${before}, and now to ${now}`);
          applied.set(life, now);
        }
      },
    };
  }),

  promise('onlyCommittedMetadataIsApplied', 'nobody acts on metadata that is not committed', (broken) => {
    let committed = 0;
    return {
      look({ changedNodes }) {
        for (const { parts } of changedNodes) committed = Math.max(committed, parts.quorum.highWatermark);
        for (const { node, parts } of changedNodes) {
          const { appliedOffset } = parts.metadata;
          if (appliedOffset >= committed) {
            broken(`node ${node.id} has applied ${appliedOffset}, and the metadata is committed below ${committed}`);
          }
        }
      },
    };
  }),
];

type ElectionState = { readonly leaderId: number; readonly leaderEpoch: number; readonly votedId: number };

/** As it is written down. */
function electionState(node: SimulatedNode): ElectionState | undefined {
  const bytes = node.machine.files.peek(`${metadataDirectory(node)}/quorum-state`);
  return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as ElectionState);
}

function metadataFiles(node: SimulatedNode, ending: string): string[] {
  return node.machine.files.peekNames(metadataDirectory(node)).filter((name) => name.endsWith(ending));
}

/** How far its log goes on a disk whose machine loses power now. */
function durableEndOffset(node: SimulatedNode): number {
  const names = metadataFiles(node, '.log');
  for (const name of names.toReversed()) {
    const bytes = node.machine.files.peekDurable(`${metadataDirectory(node)}/${name}`) ?? new Uint8Array(0);
    let end = -1;
    for (const { lastOffset } of batchesOf(bytes)) end = lastOffset + 1;
    if (end >= 0) return end;
  }
  return names[0] === undefined ? 0 : Number.parseInt(names[0], 10);
}

/** How far the log goes that a node left when it ended. The power may have failed in the midst of the last batches: they count up to the first torn one. */
function writtenEndOffset(node: SimulatedNode): number {
  let end = 0;
  try {
    for (const name of metadataFiles(node, '.log')) {
      for (const batch of batchesOf(node.machine.files.peek(`${metadataDirectory(node)}/${name}`)!)) {
        batch.ensureCrc();
        end = batch.lastOffset + 1;
      }
    }
  } catch (error) {
    if (!(error instanceof KafkaError && error.name === 'CORRUPT_MESSAGE')) throw error;
  }
  return end;
}

/** Below the high watermark, from the files. */
function* metadataBatches(node: SimulatedNode, highWatermark: number): Generator<{ lastOffset: number; text: string }> {
  for (const name of metadataFiles(node, '.log')) {
    const bytes = node.machine.files.peek(`${metadataDirectory(node)}/${name}`)!;
    for (const { baseOffset, lastOffset, leaderEpoch, crc } of batchesOf(bytes)) {
      if (lastOffset >= highWatermark) break;
      yield { lastOffset, text: `${baseOffset}..${lastOffset} of epoch ${leaderEpoch} (crc ${(crc >>> 0).toString(16)})` };
    }
  }
}

/** Header and footer say when it was written. */
function snapshotText(bytes: Uint8Array): string {
  const told: string[] = [];
  for (const batch of batchesOf(bytes)) {
    if (batch.isControl) continue;
    for (const { value } of batch.records()) told.push(Buffer.from(value ?? []).toString('base64'));
  }
  return told.sort().join('\n');
}

function recordsOf(image: Image): string[] {
  return [...image.toRecords()].map((record) => JSON.stringify(record)).sort();
}
