export type RecordHeader = { key: string; value: Uint8Array | null };

/** A record as it comes out of a batch. Keys and values are views on the bytes it was read from. */
export type DecodedRecord = {
  offset: number;
  /** -1 when the format or the producer gave none. */
  timestamp: number;
  /** -1 in a batch without sequences. */
  sequence: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: RecordHeader[];
};

/** A record on its way into a batch. */
export type RecordToWrite = {
  /** Absolute. Absent: one after the record before. */
  offset?: number;
  /** Absent: -1, none. */
  timestamp?: number;
  key?: Uint8Array | null;
  value?: Uint8Array | null;
  headers?: readonly RecordHeader[];
};
