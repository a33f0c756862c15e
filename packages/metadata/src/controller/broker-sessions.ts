/**
 * Who has been heard of lately. Sessions are not metadata: a new controller begins them anew, so they are the one thing a
 * heartbeat changes at once, without a record.
 */

interface Session {
  brokerEpoch: number;
  lastContactMs: number;
  /** How far the broker has applied the metadata log. */
  metadataOffset: number;
}

export class BrokerSessions {
  readonly #sessions = new Map<number, Session>();
  /** Offset of each broker's RegisterBroker record: having applied it, a broker may be unfenced. */
  readonly #registrationOffsets = new Map<number, number>();
  /** Where the log ended when a broker entered controlled shutdown. */
  readonly #shutdownOffsets = new Map<number, number>();
  /** Those that have been silent for too long, and leave their partitions in several parts. */
  readonly #leaving = new Set<number>();
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  touch(brokerId: number, brokerEpoch: number, nowMs: number, metadataOffset?: number): void {
    const known = this.#sessions.get(brokerId);
    const offset = metadataOffset ?? (known?.brokerEpoch === brokerEpoch ? known.metadataOffset : -1);
    this.#sessions.set(brokerId, { brokerEpoch, lastContactMs: nowMs, metadataOffset: offset });
    this.#leaving.delete(brokerId);
  }

  end(brokerId: number): void {
    this.#sessions.delete(brokerId);
    this.#leaving.delete(brokerId);
    this.#shutdownOffsets.delete(brokerId);
  }

  /** Where brokers registered is in the log, and is not forgotten. */
  clear(): void {
    this.#sessions.clear();
    this.#leaving.clear();
    this.#shutdownOffsets.clear();
  }

  has(brokerId: number): boolean {
    return this.#sessions.has(brokerId);
  }

  isValid(brokerId: number, brokerEpoch: number, nowMs: number): boolean {
    const session = this.#sessions.get(brokerId);
    return session?.brokerEpoch === brokerEpoch && nowMs - session.lastContactMs <= this.#timeoutMs;
  }

  /** Time in which nobody could be heard counts as silence of none. */
  excuse(ms: number, nowMs: number): void {
    for (const session of this.#sessions.values()) session.lastContactMs = Math.min(session.lastContactMs + ms, nowMs);
  }

  /** Unless it is heard of before. */
  beginLeaving(brokerId: number): void {
    this.#leaving.add(brokerId);
  }

  isLeaving(brokerId: number): boolean {
    return this.#leaving.has(brokerId);
  }

  /** The broker that has been silent for longest, if too long. */
  expired(nowMs: number): number | undefined {
    const [oldest] = this.#oldest();
    return oldest !== undefined && nowMs - oldest.lastContactMs > this.#timeoutMs ? oldest.brokerId : undefined;
  }

  /** When the next session expires, unless it is heard of before; Infinity without sessions. */
  nextExpiryMs(): number {
    const [oldest] = this.#oldest();
    return oldest === undefined ? Number.POSITIVE_INFINITY : oldest.lastContactMs + this.#timeoutMs + 1;
  }

  #oldest(): { brokerId: number; lastContactMs: number }[] {
    let oldest: { brokerId: number; lastContactMs: number } | undefined;
    for (const [brokerId, { lastContactMs }] of this.#sessions) {
      if (oldest === undefined || lastContactMs < oldest.lastContactMs) oldest = { brokerId, lastContactMs };
    }
    return oldest ? [oldest] : [];
  }

  registered(brokerId: number, offset: number): void {
    this.#registrationOffsets.set(brokerId, offset);
    this.#shutdownOffsets.delete(brokerId);
    const known = this.#sessions.get(brokerId);
    if (known) known.metadataOffset = -1;
  }

  registrationOffset(brokerId: number): number {
    return this.#registrationOffsets.get(brokerId) ?? -1;
  }

  unregistered(brokerId: number): void {
    this.end(brokerId);
    this.#registrationOffsets.delete(brokerId);
  }

  enteredShutdown(brokerId: number, endOffset: number): void {
    this.#shutdownOffsets.set(brokerId, endOffset);
  }

  /** What was behind it was not written: what a broker in shutdown is to wait for ends there. */
  logEndsAt(endOffset: number): void {
    for (const [id, offset] of this.#shutdownOffsets) this.#shutdownOffsets.set(id, Math.min(offset, endOffset));
  }

  isShuttingDown(brokerId: number): boolean {
    return this.#shutdownOffsets.has(brokerId);
  }

  shutdownOffset(brokerId: number): number {
    return this.#shutdownOffsets.get(brokerId) ?? Number.POSITIVE_INFINITY;
  }

  /** The lowest metadata offset that these brokers have told. */
  lowestMetadataOffset(brokerIds: Iterable<number>): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const id of brokerIds) lowest = Math.min(lowest, this.#sessions.get(id)?.metadataOffset ?? -1);
    return lowest;
  }
}
