/** What a call meets that was under way, or came, when its client closed. */
export class ClientClosedError extends Error {
  override readonly name = 'ClientClosedError';
  constructor(client: string) {
    super(`the ${client} is closed`);
  }
}
