import { BatchView } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';

const HEADER_BYTES = 61;
const LENGTH = 8;
const BEFORE_LENGTH_COUNTS = 12;
const MAGIC = 16;

/**
 * Throws CorruptFileError, with the place, unless a metadata log is whole from end to end, as a clean stop leaves it. After a crash its tail may
 * be torn, and is cut. After a clean stop everything in it was committed: to cut it there would make the cluster forget its topics, and set
 * their data aside.
 */
export function requireWholeMetadataLog(files: Files, directory: string): void {
  for (const name of files.list(directory).filter((each) => each.endsWith('.log'))) {
    const path = `${directory}/${name}`;
    const bytes = files.readFile(path);
    const wholeBytes = lengthOfValidBatches(bytes);
    if (wholeBytes === bytes.length) continue;
    const remedy = 'bring back a whole __cluster_metadata-0, or remove .kafka_cleanshutdown to start with what comes before';
    throw new CorruptFileError(
      path,
      `damaged at byte ${wholeBytes} of ${bytes.length} although the last stop was clean: ${remedy}`,
    );
  }
}

function lengthOfValidBatches(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  for (;;) {
    if (position + HEADER_BYTES > bytes.length || bytes[position + MAGIC] !== 2) return position;
    const length = view.getInt32(position + LENGTH) + BEFORE_LENGTH_COUNTS;
    if (length < HEADER_BYTES || position + length > bytes.length) return position;
    if (!new BatchView(bytes, position).isCrcValid()) return position;
    position += length;
  }
}
