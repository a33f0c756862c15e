/** A frame's content, in order, without the size that goes before it. The bytes must not change until they are sent. */
export type FrameParts = readonly Uint8Array[];

/** Parts below this are copied together: cheaper than a vector entry each. */
const copiedPartBytes = 4096;
const sizeLength = 4;

/**
 * The frames back to back, each after its int32 size, as few parts for one write: small ones copied together, large ones
 * (record batches) as they are.
 */
export function packFrames(frames: readonly FrameParts[]): Uint8Array[] {
  let copiedBytes = 0;
  for (const frame of frames) {
    copiedBytes += sizeLength;
    for (const part of frame) if (part.length < copiedPartBytes) copiedBytes += part.length;
  }
  const copied = Buffer.allocUnsafe(copiedBytes);
  const packed: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  for (const frame of frames) {
    end = copied.writeInt32BE(frameBytes(frame), end);
    for (const part of frame) {
      if (part.length < copiedPartBytes) {
        copied.set(part, end);
        end += part.length;
      } else {
        if (end > start) packed.push(copied.subarray(start, end));
        packed.push(part);
        start = end;
      }
    }
  }
  if (end > start) packed.push(copied.subarray(start, end));
  return packed;
}

/** Bytes of the content. */
export function frameBytes(frame: FrameParts): number {
  let bytes = 0;
  for (const part of frame) bytes += part.length;
  return bytes;
}
