/** The grammar below SCRAM's messages (RFC 5802, section 7): `name=value` between commas, base64, and escaped user names. */

/** `a=1,b=2` as pairs, in order; a part without `=` has the value undefined. No value can hold a comma. */
export function attributesOf(text: string): (readonly [name: string, value: string | undefined])[] {
  return text.split(',').map((part) => {
    const equals = part.indexOf('=');
    return equals < 0 ? [part, undefined] : [part.slice(0, equals), part.slice(equals + 1)];
  });
}

/** A user name may hold neither `,` nor `=` inside a message. */
export function escapeScramName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

/** Undefined for text that nothing escapes to. */
export function unescapeScramName(text: string): string | undefined {
  if (text === '' || /=(?!2C|3D)|,/.test(text)) return undefined;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Undefined for what is not base64 with its padding, or is empty: Buffer would skip over it silently. */
export function bytesOfBase64(text: string | undefined): Uint8Array | undefined {
  const isBase64 = text !== undefined && /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);
  return isBase64 && text !== '' ? Uint8Array.from(Buffer.from(text, 'base64')) : undefined;
}

/** Printable ASCII without the comma. */
export function isScramNonce(text: string | undefined): text is string {
  return text !== undefined && /^[\x21-\x2b\x2d-\x7e]+$/.test(text);
}
