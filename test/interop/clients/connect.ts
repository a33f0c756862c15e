import { type Client, type LibraryName, WorkerClient } from './client.ts';
import { KcatClient } from './kcat.ts';

/** A client of that library, talking to that broker. */
export function connectClient(library: LibraryName, bootstrap: string): Client {
  return library === 'kcat' ? new KcatClient(bootstrap) : new WorkerClient(library, bootstrap);
}
