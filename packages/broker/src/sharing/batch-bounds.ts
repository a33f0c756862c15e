import { readInt64 } from '@ottla/protocol';
import type { BatchBounds, OffsetRange } from './acquire-records.ts';

/** The header of a batch, as far as its fate in a share group depends on it: see the record batch in @ottla/protocol. */
const LENGTH_AT = 8;
const BYTES_BEFORE_LENGTH_COUNTS = 12;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const PRODUCER_ID_AT = 43;
const HEADER_BYTES = 61;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

type AbortedTransaction = { readonly producerId: number; readonly firstOffset: number };

/** Where each whole batch in bytes that were read begins, in bytes and in offsets. Nothing but headers is looked at. */
export class ReadBatches implements BatchBounds {
  readonly records: Uint8Array;
  readonly baseOffsets: number[] = [];
  readonly lastOffsets: number[] = [];
  readonly #positions: number[] = [];
  readonly #view: DataView;

  constructor(records: Uint8Array) {
    this.records = records;
    const view = new DataView(records.buffer, records.byteOffset, records.length);
    this.#view = view;
    let position = 0;
    while (position + MAGIC_AT < records.length) {
      const end = position + BYTES_BEFORE_LENGTH_COUNTS + view.getInt32(position + LENGTH_AT);
      if (end > records.length) break;
      const offset = readInt64(view, position);
      // Before magic 2 a batch bears the offset of its last record, and that is all that can be told without opening it.
      const isCurrent = records[position + MAGIC_AT]! >= 2 && end - position >= HEADER_BYTES;
      this.baseOffsets.push(offset);
      this.lastOffsets.push(isCurrent ? offset + view.getInt32(position + LAST_OFFSET_DELTA_AT) : offset);
      this.#positions.push(position);
      position = end;
    }
    this.#positions.push(position);
  }

  /** The bytes of the batches that have any of the offsets. */
  between(firstOffset: number, lastOffset: number): Uint8Array {
    let from = 0;
    while (from < this.lastOffsets.length && this.lastOffsets[from]! < firstOffset) from++;
    let to = from;
    while (to < this.baseOffsets.length && this.baseOffsets[to]! <= lastOffset) to++;
    return this.records.subarray(this.#positions[from], this.#positions[to]);
  }

  /** The offsets of batches that were written in one of these transactions. */
  aborted(transactions: readonly AbortedTransaction[]): OffsetRange[] {
    if (transactions.length === 0) return [];
    const waiting = [...transactions].sort((left, right) => left.firstOffset - right.firstOffset);
    const underWay = new Set<number>();
    const ranges: OffsetRange[] = [];
    for (let index = 0; index < this.baseOffsets.length; index++) {
      const lastOffset = this.lastOffsets[index]!;
      while (waiting.length > 0 && waiting[0]!.firstOffset <= lastOffset) underWay.add(waiting.shift()!.producerId);
      const position = this.#positions[index]!;
      if (this.records[position + MAGIC_AT]! < 2) continue;
      const attributes = this.#view.getInt16(position + ATTRIBUTES_AT);
      if ((attributes & TRANSACTIONAL) === 0) continue;
      const producerId = readInt64(this.#view, position + PRODUCER_ID_AT);
      // The marker that ends the transaction is delivered: the member passes it over, and says so.
      if ((attributes & CONTROL) !== 0) underWay.delete(producerId);
      else if (underWay.has(producerId)) ranges.push({ firstOffset: this.baseOffsets[index]!, lastOffset });
    }
    return ranges;
  }
}
