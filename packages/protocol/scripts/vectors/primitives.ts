/** primitives.jsonl: varints, ids and checksums. */
import { crc32, crc32c, Reader, Writer } from '../../src/index.ts';
import { difference, firstProblem, fromHex } from './bytes.ts';
import { ExactReader, ExactWriter } from './exact.ts';

type Value = { type: 'varlong' | 'uvarlong' | 'varint' | 'uvarint' | 'uuid'; value: string; hex: string };
type Checksum = { type: 'crc32c' | 'crc32'; lcgSeed?: number; length: number; data?: string; crc: number };

export const family = { file: 'primitives.jsonl', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Value | Checksum;
  return 'crc' in vector ? checkChecksum(vector) : checkValue(vector);
}

function checkChecksum({ type, lcgSeed, length, data, crc }: Checksum): string | undefined {
  const bytes = data === undefined ? generated(lcgSeed!, length) : fromHex(data);
  const found = type === 'crc32c' ? crc32c(bytes) : crc32(bytes);
  return found === crc ? undefined : `${type} of ${length} bytes is ${found}, not ${crc}`;
}

function checkValue(vector: Value): string | undefined {
  const reader = new ExactReader(fromHex(vector.hex));
  const writer = new ExactWriter(16);
  const plainReader = new Reader(fromHex(vector.hex));
  const plainWriter = new Writer(16);
  const { value } = vector;
  let read: string;
  let plain: string | undefined;
  switch (vector.type) {
    case 'varlong': {
      read = String(reader.varlong());
      writer.varlong(BigInt(value));
      // A broker's reader gives the nearest number; what that holds exactly, its writer gives back.
      const number = plainReader.varlong();
      if (number !== Number(BigInt(value))) plain = `a number reads ${number}`;
      else if (Number.isSafeInteger(number)) plainWriter.varlong(number);
      break;
    }
    case 'uvarlong':
      read = String(reader.uvarlong());
      writer.uvarlong(BigInt(value));
      break;
    case 'varint':
      read = String(plainReader.varint());
      writer.varint(Number(value));
      break;
    case 'uvarint':
      read = String(plainReader.uvarint());
      writer.uvarint(Number(value));
      break;
    case 'uuid':
      read = plainReader.uuid();
      writer.uuid(value);
      break;
    default:
      return `an unknown type of vector: ${vector.type}`;
  }
  const problem = firstProblem([
    read === value ? undefined : `read as ${read}`,
    difference('written', writer.bytes(), vector.hex),
    plain,
    plainWriter.length === 0 ? undefined : difference('written as a number', plainWriter.bytes(), vector.hex),
  ]);
  return problem && `${vector.type} ${value}: ${problem}`;
}

function generated(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    return (state >>> 16) & 255;
  });
}
