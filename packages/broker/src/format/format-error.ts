/** A directory cannot be formatted as asked; the message is one line for the user, in Kafka's words. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}
