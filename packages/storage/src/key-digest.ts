/**
 * SipHash-2-4 with 128 bits of output. Keyed with random bytes, it lets nobody who does not know them choose two keys that meet.
 * A 64-bit word is a pair of int32, low half first; v0..v3 are `state[0..7]`.
 */
export class KeyDigest {
  readonly #key: Int32Array;
  readonly #state = new Int32Array(8);
  /** Of the last key given to `update`. */
  readonly words = new Int32Array(4);

  /** `secret`: 16 bytes. */
  constructor(secret: Uint8Array) {
    const view = new DataView(secret.buffer, secret.byteOffset, secret.byteLength);
    this.#key = Int32Array.from({ length: 4 }, (_, index) => view.getInt32(index * 4, true));
  }

  /** Sets `words`. */
  update(bytes: Uint8Array): void {
    const v = this.#state;
    const [key0Low, key0High, key1Low, key1High] = this.#key as unknown as [number, number, number, number];
    v[0] = key0Low ^ 0x70736575;
    v[1] = key0High ^ 0x736f6d65;
    v[2] = key1Low ^ 0x6e646f6d ^ 0xee;
    v[3] = key1High ^ 0x646f7261;
    v[4] = key0Low ^ 0x6e657261;
    v[5] = key0High ^ 0x6c796765;
    v[6] = key1Low ^ 0x79746573;
    v[7] = key1High ^ 0x74656462;
    const { length } = bytes;
    let at = 0;
    for (; at + 8 <= length; at += 8) {
      const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      const high = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
      absorb(v, low, high);
    }
    let low = 0;
    let high = (length & 0xff) << 24;
    for (let index = 0; at < length; at++, index++) {
      if (index < 4) low |= bytes[at]! << (index * 8);
      else high |= bytes[at]! << ((index - 4) * 8);
    }
    absorb(v, low, high);
    v[4]! ^= 0xee;
    this.#finish(0);
    v[2]! ^= 0xdd;
    this.#finish(2);
  }

  #finish(at: number): void {
    const v = this.#state;
    for (let count = 0; count < 4; count++) round(v);
    this.words[at] = v[0]! ^ v[2]! ^ v[4]! ^ v[6]!;
    this.words[at + 1] = v[1]! ^ v[3]! ^ v[5]! ^ v[7]!;
  }
}

function absorb(v: Int32Array, low: number, high: number): void {
  v[6]! ^= low;
  v[7]! ^= high;
  round(v);
  round(v);
  v[0]! ^= low;
  v[1]! ^= high;
}

function round(v: Int32Array): void {
  let v0 = v[0]!;
  let v0High = v[1]!;
  let v1 = v[2]!;
  let v1High = v[3]!;
  let v2 = v[4]!;
  let v2High = v[5]!;
  let v3 = v[6]!;
  let v3High = v[7]!;
  let sum: number;
  let kept: number;

  // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
  sum = (v0 >>> 0) + (v1 >>> 0);
  v0High = (v0High + v1High + (sum > 0xffff_ffff ? 1 : 0)) | 0;
  v0 = sum | 0;
  kept = v1;
  v1 = ((v1 << 13) | (v1High >>> 19)) ^ v0;
  v1High = ((v1High << 13) | (kept >>> 19)) ^ v0High;
  kept = v0;
  v0 = v0High;
  v0High = kept;
  // v2 += v3; v3 = rotl(v3, 16) ^ v2
  sum = (v2 >>> 0) + (v3 >>> 0);
  v2High = (v2High + v3High + (sum > 0xffff_ffff ? 1 : 0)) | 0;
  v2 = sum | 0;
  kept = v3;
  v3 = ((v3 << 16) | (v3High >>> 16)) ^ v2;
  v3High = ((v3High << 16) | (kept >>> 16)) ^ v2High;
  // v0 += v3; v3 = rotl(v3, 21) ^ v0
  sum = (v0 >>> 0) + (v3 >>> 0);
  v0High = (v0High + v3High + (sum > 0xffff_ffff ? 1 : 0)) | 0;
  v0 = sum | 0;
  kept = v3;
  v3 = ((v3 << 21) | (v3High >>> 11)) ^ v0;
  v3High = ((v3High << 21) | (kept >>> 11)) ^ v0High;
  // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
  sum = (v2 >>> 0) + (v1 >>> 0);
  v2High = (v2High + v1High + (sum > 0xffff_ffff ? 1 : 0)) | 0;
  v2 = sum | 0;
  kept = v1;
  v1 = ((v1 << 17) | (v1High >>> 15)) ^ v2;
  v1High = ((v1High << 17) | (kept >>> 15)) ^ v2High;
  kept = v2;
  v2 = v2High;
  v2High = kept;

  v[0] = v0;
  v[1] = v0High;
  v[2] = v1;
  v[3] = v1High;
  v[4] = v2;
  v[5] = v2High;
  v[6] = v3;
  v[7] = v3High;
}
