/** A 128-bit id in Kafka's text form: base64url without padding, always 22 characters. */
export type Uuid = string;

/** All bits zero: "no id". */
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const characterOf = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const sextetOf = new Int8Array(128).fill(-1);
for (let value = 0; value < 64; value++) sextetOf[characterOf[value]!] = value;

/** Reads the 16 bytes at `offset`. */
export function uuidFromBytes(bytes: Uint8Array, offset = 0): Uuid {
  return uuidFromWords(word(bytes, offset), word(bytes, offset + 4), word(bytes, offset + 8), word(bytes, offset + 12));
}

/** The four big-endian 32-bit words of an id, most significant first. */
export function uuidFromWords(a: number, b: number, c: number, d: number): Uuid {
  if ((a | b | c | d) === 0) return ZERO_UUID;
  const t = characterOf;
  return String.fromCharCode(
    t[a >>> 26]!,
    t[(a >>> 20) & 63]!,
    t[(a >>> 14) & 63]!,
    t[(a >>> 8) & 63]!,
    t[(a >>> 2) & 63]!,
    t[((a & 3) << 4) | (b >>> 28)]!,
    t[(b >>> 22) & 63]!,
    t[(b >>> 16) & 63]!,
    t[(b >>> 10) & 63]!,
    t[(b >>> 4) & 63]!,
    t[((b & 15) << 2) | (c >>> 30)]!,
    t[(c >>> 24) & 63]!,
    t[(c >>> 18) & 63]!,
    t[(c >>> 12) & 63]!,
    t[(c >>> 6) & 63]!,
    t[c & 63]!,
    t[d >>> 26]!,
    t[(d >>> 20) & 63]!,
    t[(d >>> 14) & 63]!,
    t[(d >>> 8) & 63]!,
    t[(d >>> 2) & 63]!,
    t[(d & 3) << 4]!,
  );
}

export function uuidToBytes(uuid: Uuid): Uint8Array {
  const bytes = new Uint8Array(16);
  writeUuid(bytes, 0, uuid);
  return bytes;
}

/** Writes the 16 bytes of an id at `offset`. Throws TypeError for what is not an id's text. */
export function writeUuid(target: Uint8Array, offset: number, uuid: Uuid): void {
  if (uuid.length !== 22) throw new TypeError(`not a uuid: ${JSON.stringify(uuid)}`);
  let bits = 0;
  let held = 0;
  let at = offset;
  for (let index = 0; index < 22; index++) {
    const code = uuid.charCodeAt(index);
    const value = code < 128 ? sextetOf[code]! : -1;
    if (value < 0) throw new TypeError(`not a uuid: ${JSON.stringify(uuid)}`);
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      target[at++] = bits >>> held;
    }
  }
}

/** Whether a text is an id in its one canonical form (the last character carries only two bits). */
export function isUuid(text: string): boolean {
  return /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text);
}

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}
