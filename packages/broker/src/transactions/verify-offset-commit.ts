import { KafkaError } from '@ottla/protocol';
import { NO_GUARD } from '@ottla/storage';
import type { VerifyTransaction } from '../coordinators/group-offset-service.ts';
import { OFFSETS_TOPIC } from '../internal-topics.ts';
import type { Partitions } from '../replication/partitions.ts';
import { supportOfOffsetCommit, type TransactionVerifier } from './transaction-verifier.ts';

const NO_SEQUENCE = -1;

export type OffsetCommitVerification = {
  readonly partitions: Partitions;
  readonly verifier: TransactionVerifier;
  /** transaction.partition.verification.enable */
  readonly isVerified: () => boolean;
};

/** The group coordinator's partitions become part of a transaction like others. */
export function verifyOffsetCommit({ partitions, verifier, isVerified }: OffsetCommitVerification): VerifyTransaction {
  return async (index, { transactionalId, producerId, producerEpoch }, apiVersion) => {
    const support = supportOfOffsetCommit(apiVersion);
    const supportsEpochBump = support === 'add';
    if (!isVerified() && !supportsEpochBump) return undefined;
    const { log } = partitions.leader(OFFSETS_TOPIC, index);
    const guard = log.startVerification({ producerId, producerEpoch, baseSequence: NO_SEQUENCE, supportsEpochBump });
    if (guard !== NO_GUARD) {
      const asked = new Map([[OFFSETS_TOPIC, new Set([index])]]);
      const [missing] = await verifier.confirm(transactionalId, { producerId, producerEpoch }, asked, support);
      if (missing) throw new KafkaError(missing.error);
    }
    return isVerified() ? guard : undefined;
  };
}
