/**
 * Walks the record section of a batch of magic 2 (decompressed). A record:
 *
 *   varint   bytes of the rest
 *   int8     attributes, unused
 *   varlong  timestamp - baseTimestamp
 *   varint   offset - baseOffset
 *   varint   key length, -1 null;  key
 *   varint   value length, -1 null;  value
 *   varint   count of headers; each: varint length + UTF-8 key, varint length (-1 null) + value
 */
import { KafkaError } from '../errors.ts';
import type { DecodedRecord, RecordHeader } from './record.ts';
import { unzigzagWide } from './varints.ts';

/** From the header of the batch. */
export type RecordSectionContext = {
  count: number;
  baseOffset: number;
  baseTimestamp: number;
  /** The time every record reads as, under log-append time. */
  logAppendTimeMs?: number;
  /** -1 for none. */
  baseSequence: number;
};

const maxSequence = 0x7fff_ffff;

/** The length, attributes, both deltas, a null key and value, no headers: a byte each. */
export const minRecordBytes = 7;

/**
 * One object for all records: `next` moves it and checks the record whole, then the fields speak of that record.
 * Throws INVALID_RECORD at the first byte that does not fit, and at the end unless count and bytes come out even.
 */
export class RecordCursor {
  /** What the positions below count in. */
  readonly section: Uint8Array;
  readonly #context: RecordSectionContext;
  #at = 0;
  #headersStart = 0;

  /** How many records `next` has been through; the current one's index is one less. */
  read = 0;
  offset = -1;
  offsetDelta = -1;
  timestamp = -1;
  /** Where the key's length stands: from here to the record's end nothing depends on offset or time. */
  contentStart = 0;
  /** -1 when the key is null. */
  keyStart = -1;
  keyLength = -1;
  /** -1 when the value is null. */
  valueStart = -1;
  valueLength = -1;
  headersCount = 0;
  /** Where the record begins, with its length, and where the next does. */
  recordStart = 0;
  recordEnd = 0;

  constructor(section: Uint8Array, context: RecordSectionContext) {
    if (context.count < 0) throw invalid(`Found invalid record count ${context.count} in magic v2 batch`);
    this.section = section;
    this.#context = context;
  }

  get key(): Uint8Array | null {
    return this.keyStart < 0 ? null : this.section.subarray(this.keyStart, this.keyStart + this.keyLength);
  }

  get value(): Uint8Array | null {
    return this.valueStart < 0 ? null : this.section.subarray(this.valueStart, this.valueStart + this.valueLength);
  }

  get sequence(): number {
    const { baseSequence } = this.#context;
    if (baseSequence < 0) return -1;
    const sequence = baseSequence + this.offsetDelta;
    return sequence > maxSequence ? sequence - maxSequence - 1 : sequence;
  }

  record(): DecodedRecord {
    return {
      offset: this.offset,
      timestamp: this.timestamp,
      sequence: this.sequence,
      key: this.key,
      value: this.value,
      headers: this.headers(),
    };
  }

  /** False after the last record. */
  next(): boolean {
    const { section } = this;
    const { count, baseOffset, baseTimestamp, logAppendTimeMs } = this.#context;
    if (this.read === count) {
      if (this.recordEnd !== section.length) throw invalid('Incorrect declared batch size, records still remaining in file');
      return false;
    }
    this.recordStart = this.#at = this.recordEnd;
    const size = this.#varint();
    const end = this.#at + size;
    if (size < 0 || end > section.length) {
      throw invalid(
        `Invalid record size: expected ${size} bytes in record payload, but instead the buffer has only ${section.length - this.#at} remaining bytes for record payload`,
      );
    }
    this.#at++; // attributes
    const timestampDelta = this.#varlong();
    this.offsetDelta = this.#varint();
    this.offset = baseOffset + this.offsetDelta;
    this.timestamp = logAppendTimeMs ?? baseTimestamp + timestampDelta;

    this.contentStart = this.#at;
    this.keyLength = this.#varint();
    this.keyStart = this.#skip(this.keyLength, end);
    this.valueLength = this.#varint();
    this.valueStart = this.#skip(this.valueLength, end);

    this.headersCount = this.#varint();
    this.#headersStart = this.#at;
    if (this.headersCount !== 0) this.#skipHeaders(end);
    if (this.#at !== end) {
      throw invalid(
        `Invalid record size: expected to read ${size} bytes in record payload, but instead read ${this.#at - end + size}`,
      );
    }
    this.recordEnd = end;
    this.read++;
    return true;
  }

  headers(): RecordHeader[] {
    const headers: RecordHeader[] = [];
    this.#at = this.#headersStart;
    for (let index = 0; index < this.headersCount; index++) {
      const keyLength = this.#varint();
      const key = utf8(this.section, this.#at, this.#at + keyLength);
      this.#at += keyLength;
      const valueLength = this.#varint();
      const valueStart = this.#skip(valueLength, this.recordEnd);
      headers.push({ key, value: valueStart < 0 ? null : this.section.subarray(valueStart, valueStart + valueLength) });
    }
    return headers;
  }

  #skipHeaders(end: number): void {
    const count = this.headersCount;
    if (count < 0) throw invalid(`Found invalid number of record headers ${count}`);
    if (count > end - this.#at) {
      throw invalid(`Found invalid number of record headers. ${count} is larger than the remaining size of the buffer`);
    }
    for (let index = 0; index < count; index++) {
      const keyLength = this.#varint();
      if (keyLength < 0) throw invalid(`Invalid negative header key size ${keyLength}`);
      this.#skip(keyLength, end);
      this.#skip(this.#varint(), end);
    }
  }

  /** Where a key or value of this length begins, after having passed it; -1 for a null. */
  #skip(length: number, end: number): number {
    if (length < 0) return -1;
    const start = this.#at;
    if (start + length > end) throw invalid('Found invalid record structure: a length goes past the end of its record');
    this.#at = start + length;
    return start;
  }

  #varint(): number {
    const { section } = this;
    let at = this.#at;
    let byte = section[at++];
    if (byte !== undefined && byte < 128) {
      this.#at = at;
      return (byte >>> 1) ^ -(byte & 1);
    }
    let value = 0;
    let shift = 0;
    for (;;) {
      if (byte === undefined) throw invalid('Found invalid record structure: the records end inside a varint');
      value |= (byte & 127) << shift;
      if (byte < 128) break;
      if ((shift += 7) > 28) throw invalid('Found invalid record structure: a varint of more than 5 bytes');
      byte = section[at++];
    }
    this.#at = at;
    return (value >>> 1) ^ -(value & 1);
  }

  #varlong(): number {
    const { section } = this;
    let at = this.#at;
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let group = 0; ; group++) {
      const byte = section[at++];
      if (byte === undefined) throw invalid('Found invalid record structure: the records end inside a varlong');
      if (group < 4) low |= (byte & 127) << (group * 7);
      else if (group < 8) middle |= (byte & 127) << ((group - 4) * 7);
      else if (group < 10) high |= (byte & 127) << ((group - 8) * 7);
      else throw invalid('Found invalid record structure: a varlong of more than 10 bytes');
      if (byte < 128) break;
    }
    this.#at = at;
    return middle === 0 && high === 0 ? (low >>> 1) ^ -(low & 1) : unzigzagWide(low, middle, high & 255);
  }
}

function invalid(problem: string): KafkaError {
  return new KafkaError('INVALID_RECORD', problem);
}

/** Header keys are short and mostly ASCII, where a loop beats the call into the decoder. */
function utf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 24) {
    let text = '';
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte > 127) break;
      text += String.fromCharCode(byte);
    }
    if (at === end) return text;
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}
