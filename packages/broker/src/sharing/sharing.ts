import type { Clock, Logger, Timers } from '@ottla/runtime';
import type { Partitions } from '../replication/partitions.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';
import type { GroupSharing } from './group-sharing.ts';
import type { SharePersister } from './share-persister.ts';
import { type ShareSession, ShareSessions } from './share-session.ts';
import { Shares } from './shares.ts';

export type SharingOptions = {
  readonly partitions: Partitions;
  readonly persister: SharePersister;
  readonly deadLetters: DeadLetterQueue;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** A group's configs as they are now. */
  readonly sharing: (groupId: string) => GroupSharing;
  /** group.share.max.share.sessions */
  readonly maxSessions: () => number;
};

/** The data side of share groups on this broker: who follows what, and what each group has in flight of the partitions led here. */
export class Sharing {
  readonly shares: Shares;
  readonly sessions: ShareSessions;
  readonly #logger: Logger;

  constructor({ maxSessions, ...options }: SharingOptions) {
    this.#logger = options.logger;
    this.shares = new Shares(options);
    this.sessions = new ShareSessions({
      slots: maxSessions,
      end: {
        onMemberGone: (session) => void this.#release(session),
        onGroupEmpty: (groupId) => this.shares.leaveGroup(groupId),
      },
    });
  }

  /** The member is done: what he holds is given back. Resolves when that is written, or could not be. */
  async closeSession(session: ShareSession): Promise<void> {
    const released = this.#release(session);
    this.sessions.close(session);
    await released;
  }

  async #release({ groupId, memberId }: ShareSession): Promise<void> {
    const releases = [...this.shares.ofGroup(groupId)].map((share) => share.release(memberId));
    for (const result of await Promise.allSettled(releases)) {
      if (result.status === 'fulfilled') continue;
      this.#logger.warn('what a member held could not be released: it is when its lock ends', {
        groupId,
        memberId,
        error: result.reason,
      });
    }
  }

  close(): void {
    this.shares.closeAll();
  }
}
