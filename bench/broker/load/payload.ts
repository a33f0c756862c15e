/** What the records of a load say: text such as logs have, which lz4 packs to about a third. The same bytes in every run. */
const words = 'order customer shipped pending amount total warehouse region europe request response session token error'.split(
  ' ',
);

/** `bytes` long; another text for another `seed`. */
export function payload(bytes: number, seed: number): Buffer {
  const text: string[] = [];
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let length = 0; length < bytes; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const word = `${words[state % words.length]}=${(state >>> 8) % 10_000} `;
    text.push(word);
    length += word.length;
  }
  return Buffer.from(text.join('').slice(0, bytes), 'latin1');
}
