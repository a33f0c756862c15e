/** What the families share: hexadecimal text, and bytes compared with it. */

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** What is wrong with bytes that should be `hex`, or nothing. */
export function difference(what: string, bytes: Uint8Array, hex: string): string | undefined {
  const found = toHex(bytes);
  if (found === hex) return undefined;
  let at = 0;
  while (found[at] === hex[at]) at++;
  at -= at % 2;
  return `${what}: byte ${at / 2} is ${found.slice(at, at + 16) || 'missing'}, not ${hex.slice(at, at + 16) || 'there'}`;
}

/** What is wrong with the first failing test, if one fails. */
export function firstProblem(tests: Iterable<string | undefined>): string | undefined {
  for (const problem of tests) if (problem !== undefined) return problem;
  return undefined;
}
