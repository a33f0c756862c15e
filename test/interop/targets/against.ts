import { after, before, describe } from 'node:test';
import type { Client, LibraryName, Operation } from '../clients/client.ts';
import { connectClient } from '../clients/connect.ts';
import { TargetNode, targets } from './node.ts';

/** What a test is given: the node it runs against, and clients of any library, each started when first asked for. */
export type Bench = {
  readonly node: TargetNode;
  client(library: LibraryName): Client;
  /** Ends a client: the next one asked for starts anew. */
  forget(library: LibraryName): Promise<void>;
};

/** Declares the same tests against each target, each with a fresh node, formatted with those levels of features. */
export function againstEachTarget(
  subject: string,
  declare: (bench: Bench) => void,
  properties: Readonly<Record<string, string>> = {},
  features: Readonly<Record<string, number>> = {},
): void {
  for (const target of targets) {
    describe(`${subject} against ${target}`, () => {
      let node: TargetNode | undefined;
      const clients = new Map<LibraryName, Client>();

      before(async () => {
        node = await TargetNode.create(target, properties, features);
      });
      after(async () => {
        for (const client of clients.values()) await client.close();
        await node?.destroy();
      });

      declare({
        get node(): TargetNode {
          if (!node) throw new Error(`${target} did not start`);
          return node;
        },
        client(library) {
          let client = clients.get(library);
          if (!client) clients.set(library, (client = settling(connectClient(library, this.node.bootstrap), this.node)));
          return client;
        },
        async forget(library) {
          await clients.get(library)?.close();
          clients.delete(library);
        },
      });
    });
  }
}

const changingMetadata: readonly Operation[] = ['createTopic', 'deleteTopic', 'addPartitions', 'setTopicConfig'];

/** A client whose changes of metadata are done when the broker acts on them, and not only when the controller has agreed. */
function settling(client: Client, node: TargetNode): Client {
  return {
    async call(name, args, timeoutMs) {
      const result = await client.call(name, args, timeoutMs);
      if (changingMetadata.includes(name)) await node.settled();
      return result;
    },
    close: () => client.close(),
  };
}
