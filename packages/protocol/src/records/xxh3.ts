/**
 * XXH3 with 64 bits and seed 0: the hash by which consumer groups notice that a topic changed. All 64 bits mean
 * something, so it counts in BigInt; nothing on a hot path calls it.
 *
 * By length of the input: up to 16 bytes are mixed whole, up to 240 in pairs of 8 bytes against the secret, and longer
 * ones run through eight accumulators in stripes of 64 bytes, scrambled after every 16 stripes.
 */
const mask64 = 0xffff_ffff_ffff_ffffn;
const mask32 = 0xffff_ffffn;

const prime32 = [0x9e37_79b1n, 0x85eb_ca77n, 0xc2b2_ae3dn] as const;
const prime64 = [
  0x9e37_79b1_85eb_ca87n,
  0xc2b2_ae3d_27d4_eb4fn,
  0x1656_67b1_9e37_79f9n,
  0x85eb_ca77_c2b2_ae63n,
  0x27d4_eb2f_1656_67c5n,
] as const;

const secretHex =
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
  'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
  'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb' +
  '170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e';
const stripeBytes = 64;
const secretBytes = 192;
const stripesPerBlock = (secretBytes - stripeBytes) / 8;

let secretView: DataView | undefined;

function secret(at: number): bigint {
  secretView ??= viewOf(Uint8Array.from(Buffer.from(secretHex, 'hex')));
  return secretView.getBigUint64(at, true);
}

/** The hash as a signed int64. */
export function xxh3(bytes: Uint8Array): bigint {
  return BigInt.asIntN(64, hash(viewOf(bytes)));
}

function hash(input: DataView): bigint {
  const length = input.byteLength;
  if (length === 0) return avalanche64(secret(56) ^ secret(64));
  if (length <= 3) return hashOf1To3(input);
  if (length <= 8) return hashOf4To8(input);
  if (length <= 16) return hashOf9To16(input);
  if (length <= 128) return hashOf17To128(input);
  if (length <= 240) return hashOf129To240(input);
  return hashOfStripes(input);
}

function hashOf1To3(input: DataView): bigint {
  const length = input.byteLength;
  const [first, middle, last] = [input.getUint8(0), input.getUint8(length >> 1), input.getUint8(length - 1)];
  const combined = ((first << 16) | (middle << 24) | last | (length << 8)) >>> 0;
  const flip = (secret(0) & mask32) ^ (secret(0) >> 32n);
  return avalanche64(BigInt(combined) ^ flip);
}

function hashOf4To8(input: DataView): bigint {
  const length = input.byteLength;
  const combined = BigInt(input.getUint32(length - 4, true)) + (BigInt(input.getUint32(0, true)) << 32n);
  let mixed = combined ^ secret(8) ^ secret(16);
  mixed ^= rotate(mixed, 49n) ^ rotate(mixed, 24n);
  mixed = (mixed * 0x9fb2_1c65_1e98_df25n) & mask64;
  mixed ^= (mixed >> 35n) + BigInt(length);
  mixed = (mixed * 0x9fb2_1c65_1e98_df25n) & mask64;
  return mixed ^ (mixed >> 28n);
}

function hashOf9To16(input: DataView): bigint {
  const length = input.byteLength;
  const low = word(input, 0) ^ secret(24) ^ secret(32);
  const high = word(input, length - 8) ^ secret(40) ^ secret(48);
  return avalanche(BigInt(length) + swap(low) + high + foldedProduct(low, high));
}

function hashOf17To128(input: DataView): bigint {
  const length = input.byteLength;
  let sum = BigInt(length) * prime64[0];
  // Pairs from both ends towards the middle.
  for (let pair = Math.ceil(length / 32) - 1; pair >= 0; pair--) {
    sum += mix(input, pair * 16, pair * 32) + mix(input, length - (pair + 1) * 16, pair * 32 + 16);
  }
  return avalanche(sum);
}

function hashOf129To240(input: DataView): bigint {
  const length = input.byteLength;
  let sum = BigInt(length) * prime64[0];
  for (let round = 0; round < 8; round++) sum += mix(input, round * 16, round * 16);
  sum = avalanche(sum);
  for (let round = 8; round < Math.floor(length / 16); round++) sum += mix(input, round * 16, (round - 8) * 16 + 3);
  return avalanche(sum + mix(input, length - 16, 136 - 17));
}

function hashOfStripes(input: DataView): bigint {
  const length = input.byteLength;
  const lanes = [prime32[2], prime64[0], prime64[1], prime64[2], prime64[3], prime32[1], prime64[4], prime32[0]];
  const stripes = Math.floor((length - 1) / stripeBytes);
  for (let stripe = 0; stripe < stripes; stripe++) {
    accumulate(lanes, input, stripe * stripeBytes, (stripe % stripesPerBlock) * 8);
    if ((stripe + 1) % stripesPerBlock === 0) scramble(lanes);
  }
  accumulate(lanes, input, length - stripeBytes, secretBytes - stripeBytes - 7);

  let sum = BigInt(length) * prime64[0];
  for (let pair = 0; pair < 4; pair++) {
    sum += foldedProduct(lanes[pair * 2]! ^ secret(11 + pair * 16), lanes[pair * 2 + 1]! ^ secret(11 + pair * 16 + 8));
  }
  return avalanche(sum);
}

function accumulate(lanes: bigint[], input: DataView, at: number, secretAt: number): void {
  for (let lane = 0; lane < 8; lane++) {
    const value = word(input, at + lane * 8);
    const keyed = value ^ secret(secretAt + lane * 8);
    lanes[lane ^ 1] = (lanes[lane ^ 1]! + value) & mask64;
    lanes[lane] = (lanes[lane]! + (keyed & mask32) * (keyed >> 32n)) & mask64;
  }
}

function scramble(lanes: bigint[]): void {
  for (let lane = 0; lane < 8; lane++) {
    const value = lanes[lane]!;
    lanes[lane] = ((value ^ (value >> 47n) ^ secret(secretBytes - stripeBytes + lane * 8)) * prime32[0]) & mask64;
  }
}

function mix(input: DataView, at: number, secretAt: number): bigint {
  return foldedProduct(word(input, at) ^ secret(secretAt), word(input, at + 8) ^ secret(secretAt + 8));
}

/** The two halves of a product of 128 bits, folded into one. */
function foldedProduct(left: bigint, right: bigint): bigint {
  const product = left * right;
  return (product & mask64) ^ (product >> 64n);
}

function avalanche(value: bigint): bigint {
  let mixed = value & mask64;
  mixed ^= mixed >> 37n;
  mixed = (mixed * 0x1656_6791_9e37_79f9n) & mask64;
  return mixed ^ (mixed >> 32n);
}

function avalanche64(value: bigint): bigint {
  let mixed = value & mask64;
  mixed ^= mixed >> 33n;
  mixed = (mixed * prime64[1]) & mask64;
  mixed ^= mixed >> 29n;
  mixed = (mixed * prime64[2]) & mask64;
  return mixed ^ (mixed >> 32n);
}

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & mask64;
}

function swap(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value);
  return view.getBigUint64(0, true);
}

function word(input: DataView, at: number): bigint {
  return input.getBigUint64(at, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
