/** What became of a record that was delivered. Gap: the log has no record there (KIP-932); renew: the work goes on (KIP-1222). */
export const AcknowledgeType = { gap: 0, accept: 1, release: 2, reject: 3, renew: 4 } as const;

/** One type for all, or one for each offset. */
export type AcknowledgementBatch = {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly acknowledgeTypes: readonly number[];
};
