/**
 * Turns a wish for a partition (another isr, another leader, other replicas) into the PartitionChange record that makes it
 * true with all that follows from it: reassignments that are now complete, elections, eligible leader replicas (KIP-966).
 */

import type { Uuid } from '@ottla/protocol';
import { leaderEpochBumpsOnIsrShrinkBelow } from '../features/metadata-versions.ts';
import { isOnlineDirectory } from '../image/directory-ids.ts';
import { directoryOf, noLeader, type PartitionState, recovering } from '../image/partition-state.ts';
import type { TopicImage } from '../image/topics-image.ts';
import { type PartitionChange, partitionChangeRecord, type RecordOf } from '../records.ts';
import {
  brokerIsActive,
  type ControllerState,
  defaultDirectory,
  effectiveMinIsr,
  uncleanElectionAllowed,
} from './controller-state.ts';

export interface PartitionWish {
  readonly isr?: readonly number[];
  readonly replicas?: readonly number[];
  readonly addingReplicas?: readonly number[];
  readonly removingReplicas?: readonly number[];
  readonly directories?: readonly Uuid[];
  readonly leaderRecoveryState?: number;
  /** `online`: keep the leader if it may stay, else the next in line. `preferred`: the first replica if it may lead. `unclean`: any live one. */
  readonly election?: 'online' | 'preferred' | 'unclean';
  /** Who may lead besides being in line; by default active brokers. */
  readonly isAlive?: (brokerId: number) => boolean;
  /** Replicas that lost what they had not flushed. */
  readonly uncleanlyStopped?: readonly number[];
}

/** Null when nothing changes. */
export function partitionChange(
  state: ControllerState,
  { topic, index, partition }: { topic: TopicImage; index: number; partition: PartitionState },
  wish: PartitionWish,
): RecordOf<'PartitionChangeRecord'> | null {
  const { metadataVersion, elrEnabled } = state.image.features;
  const target = targetOf(partition, wish);
  completeReassignment(target);
  if (elrEnabled) keepEligible(target, partition, effectiveMinIsr(state, topic), wish.uncleanlyStopped ?? []);

  const change: Mutable<PartitionChange> = {};
  const canLead = leaderTest(state, partition, wish);
  const elected = elect(partition, target, wish.election ?? defaultElection(state, topic), canLead, elrEnabled);
  const isUnclean = elected.how === 'unclean' && elected.leader !== partition.leader;
  if (elected.leader !== partition.leader) change.leader = elected.leader;
  if (isUnclean) {
    target.isr = [elected.leader];
    target.leaderRecoveryState = recovering;
  } else if (elected.how === 'elr') {
    target.isr = [elected.leader];
    target.elr = target.elr.filter((id) => id !== elected.leader);
  }
  // A replica that is no longer one must not be fetched from: followers learn of it by the new leader epoch.
  if (change.leader === undefined && !partition.replicas.every((id) => target.replicas.includes(id)))
    change.leader = partition.leader;
  if (isUnclean || !elrEnabled) target.elr = [];
  if (!sameList(target.elr, partition.elr)) change.eligibleLeaderReplicas = target.elr;
  if (!sameList(target.isr, partition.isr) && (target.isr.length > 0 || elrEnabled)) change.isr = target.isr;
  const shrinks = change.isr !== undefined && !partition.isr.every((id) => target.isr.includes(id));
  if (change.leader === undefined && shrinks && metadataVersion.level < leaderEpochBumpsOnIsrShrinkBelow)
    change.leader = partition.leader;
  if (elrEnabled) rememberLastLeader(change, partition);
  if (!sameList(target.replicas, partition.replicas)) {
    change.replicas = target.replicas;
    const directories = directoriesOf(state, partition, target);
    if (!sameList(directories, partition.directories)) change.directories = directories;
  } else if (wish.directories && !sameList(wish.directories, partition.directories)) {
    change.directories = [...wish.directories];
  }
  if (!sameList(target.removing, partition.removingReplicas)) change.removingReplicas = target.removing;
  if (!sameList(target.adding, partition.addingReplicas)) change.addingReplicas = target.adding;
  if (target.leaderRecoveryState !== partition.leaderRecoveryState) change.leaderRecoveryState = target.leaderRecoveryState;

  if (Object.keys(change).length === 0) return null;
  if (metadataVersion.partitionRecord < 1) change.directories = null;
  return partitionChangeRecord(topic.id, index, change, metadataVersion);
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Target {
  isr: number[];
  replicas: number[];
  adding: number[];
  removing: number[];
  elr: number[];
  leaderRecoveryState: number;
  directories: readonly Uuid[] | undefined;
}

function targetOf(partition: PartitionState, wish: PartitionWish): Target {
  return {
    isr: [...(wish.isr ?? partition.isr)],
    replicas: [...(wish.replicas ?? partition.replicas)],
    adding: [...(wish.addingReplicas ?? partition.addingReplicas)],
    removing: [...(wish.removingReplicas ?? partition.removingReplicas)],
    elr: [...partition.elr],
    leaderRecoveryState: wish.leaderRecoveryState ?? partition.leaderRecoveryState,
    directories: wish.directories,
  };
}

/**
 * A reassignment is done when all it adds are in sync and something stays when what it removes is gone. If there are to be fewer replicas
 * than before, all that stay must be in sync: those that go may have what they have not.
 */
function completeReassignment(target: Target): void {
  if (target.adding.length + target.removing.length === 0) return;
  const isr = target.isr.filter((id) => !target.removing.includes(id));
  const replicas = target.replicas.filter((id) => !target.removing.includes(id));
  if (isr.length === 0 || replicas.length === 0 || !target.adding.every((id) => isr.includes(id))) return;
  if (target.adding.length < target.removing.length && !replicas.every((id) => isr.includes(id))) return;
  target.isr = isr;
  target.replicas = replicas;
  target.adding = [];
  target.removing = [];
}

/** Below the minimum nothing new is committed, so whoever leaves the isr now still has everything: it stays eligible. */
function keepEligible(target: Target, partition: PartitionState, minIsr: number, uncleanlyStopped: readonly number[]): void {
  if (target.isr.length >= minIsr) {
    target.elr = [];
    return;
  }
  // Those, too, that a reassignment has just removed, as in Kafka: they are not elected, for they are no replicas.
  target.elr = [...new Set([...partition.elr, ...partition.isr])]
    .filter((id) => !target.isr.includes(id) && !uncleanlyStopped.includes(id))
    .sort((a, b) => a - b);
}

/** Alive, a replica until now, and the directory of that replica online. */
function leaderTest(state: ControllerState, partition: PartitionState, wish: PartitionWish): (id: number) => boolean {
  const isAlive = wish.isAlive ?? ((id: number) => brokerIsActive(state, id));
  return (id) => {
    if (!isAlive(id)) return false;
    const directory = directoryOf(partition, id);
    return directory !== undefined && isOnlineDirectory(directory, state.image.brokers.get(id)?.directories ?? []);
  };
}

function defaultElection(state: ControllerState, topic: TopicImage): 'online' | 'unclean' {
  return uncleanElectionAllowed(state, topic) ? 'unclean' : 'online';
}

interface Elected {
  leader: number;
  how: 'isr' | 'elr' | 'unclean' | 'none';
}

function elect(
  partition: PartitionState,
  target: Target,
  election: 'online' | 'preferred' | 'unclean',
  canLead: (id: number) => boolean,
  elrEnabled: boolean,
): Elected {
  // Also what was noted before the feature was taken back still says who has everything.
  const fromElr = target.isr.length === 0;
  const inLine = (id: number): boolean => (target.isr.includes(id) || (fromElr && target.elr.includes(id))) && canLead(id);
  const cleanly = (leader: number): Elected => ({ leader, how: fromElr ? 'elr' : 'isr' });

  const preferred = target.replicas[0];
  if (election === 'preferred' && preferred !== undefined && inLine(preferred)) return cleanly(preferred);
  if (inLine(partition.leader)) return cleanly(partition.leader);
  const next = target.replicas.find(inLine);
  if (next !== undefined) return cleanly(next);

  // Balanced recovery: with nobody known to have everything, the last leader had the most.
  const [lastLeader, ...others] = partition.lastKnownElr;
  const nobodyEligible = target.isr.length === 0 && target.elr.length === 0;
  const isOnlyGuess = lastLeader !== undefined && others.length === 0 && target.replicas.includes(lastLeader);
  if (elrEnabled && nobodyEligible && isOnlyGuess && canLead(lastLeader)) return { leader: lastLeader, how: 'unclean' };
  const anyone = election === 'unclean' ? target.replicas.find(canLead) : undefined;
  return anyone === undefined ? { leader: noLeader, how: 'none' } : { leader: anyone, how: 'unclean' };
}

/** From when a partition loses its leader until it has one again. */
function rememberLastLeader(change: Mutable<PartitionChange>, partition: PartitionState): void {
  if (change.leader === noLeader && partition.lastKnownElr.length === 0) change.lastKnownElr = [partition.leader];
  else if (change.leader !== undefined && change.leader >= 0 && partition.lastKnownElr.length > 0) change.lastKnownElr = [];
}

function directoriesOf(state: ControllerState, partition: PartitionState, target: Target): Uuid[] {
  return target.replicas.map(
    (id) =>
      target.directories?.[partition.replicas.indexOf(id)] ??
      directoryOf(partition, id) ??
      defaultDirectory(state.image.brokers.get(id)),
  );
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((element, index) => element === b[index]);
}
