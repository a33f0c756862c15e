/** The state up to (excluding) `endOffset`; `epoch` is that of the last record in it. The bootstrap snapshot, at 0, is none in this sense. */
export type SnapshotId = { readonly endOffset: number; readonly epoch: number };
