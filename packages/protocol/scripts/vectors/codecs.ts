/** Codecs and schemas of all messages, by name. */
import * as door from '../../src/index.ts';
import { readSchemas } from '../schema/files.ts';
import type { Message } from '../schema/model.ts';

const schemas = new Map<string, Message>(
  readSchemas().flatMap(({ declarations }) =>
    declarations.flatMap(({ messages }) => messages.map((message) => [message.name, message] as const)),
  ),
);

const codecs = new Map<string, door.Codec<object>>();
for (const { request, response } of door.apis) {
  codecs.set(request.name, request);
  codecs.set(response.name, response);
}
for (const [name, value] of Object.entries(door)) {
  if (schemas.has(name)) codecs.set(name, value as unknown as door.Codec<object>);
}

export function messageNamed(name: string): { readonly schema: Message; readonly codec: door.Codec<object> } | undefined {
  const schema = schemas.get(name);
  const codec = codecs.get(name);
  return schema === undefined || codec === undefined ? undefined : { schema, codec };
}
