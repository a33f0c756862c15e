/** Collects the lines of one generated file, and knows the names that its parts have for one another. */
import type { Message, Struct } from './model.ts';

export class Emitter {
  readonly #lines: string[] = [];
  readonly #messages: readonly Message[];
  readonly #defaultStructs = new Set<string>();
  readonly #isDefaultStructs = new Set<string>();
  #indent = 0;

  /** `messages` share the file. */
  constructor(messages: readonly Message[]) {
    this.#messages = messages;
  }

  line(text: string): void {
    this.#lines.push(text === '' ? '' : '  '.repeat(this.#indent) + text);
  }

  blank(): void {
    this.#lines.push('');
  }

  open(text: string): void {
    this.line(text);
    this.#indent++;
  }

  /** Closes a block, and opens its `else` if there is one. */
  close(text: string, next?: string): void {
    this.#indent--;
    if (next === undefined) this.line(text);
    else this.open(`${text} ${next}`);
  }

  openFunction(name: string, parameters: readonly string[], returns: string): void {
    const line = `function ${name}(${parameters.join(', ')}): ${returns} {`;
    if (line.length <= LINE_WIDTH) {
      this.open(line);
      return;
    }
    this.open(`function ${name}(`);
    for (const parameter of parameters) this.line(`${parameter},`);
    this.#indent--;
    this.open(`): ${returns} {`);
  }

  /** `head { a, b }tail`, over several lines if one would be long. */
  list(head: string, members: readonly string[], tail: string): void {
    const line = members.length === 0 ? `${head}{}${tail}` : `${head}{ ${members.join(', ')} }${tail}`;
    if (this.#indent * 2 + line.length <= LINE_WIDTH) {
      this.line(line);
      return;
    }
    this.open(`${head}{`);
    for (const member of members) this.line(`${member},`);
    this.close(`}${tail}`);
  }

  /** `if (condition) statement;`, with braces where `emit` makes more than one line or an `else` follows. */
  guard(condition: string | null, emit: () => void, otherwise?: string): void {
    if (condition === null) {
      emit();
      return;
    }
    this.open(`if (${condition}) {`);
    const from = this.#lines.length;
    emit();
    if (otherwise !== undefined) {
      this.close('}', `else ${otherwise.split('\n')[0]}`);
      this.line(otherwise.split('\n')[1]!);
      this.close('}');
      return;
    }
    const [only] = this.#lines.slice(from);
    this.#indent--;
    if (this.#lines.length === from + 1 && only !== undefined && !/ else |^ *for /.test(only)) {
      this.#lines.splice(from - 1);
      this.line(`if (${condition}) ${only.trim()}`);
    } else {
      this.line('}');
    }
  }

  dedent(): void {
    this.#indent--;
  }

  checkVersion({ name, versions }: Message): void {
    this.line(`if (version < ${versions.first} || version > ${versions.last}) throw unsupportedVersion('${name}', version);`);
  }

  /** The struct's own name if no other of the file has it, else with the message's name before it. */
  typeName(message: Message, struct: Struct): string {
    if (struct === message.root) return message.name;
    const isElsewhere = this.#messages.some(
      (other) => (other !== message && other.structs.has(struct.name)) || other.name === struct.name,
    );
    return isElsewhere || RESERVED.has(struct.name) ? `${message.name}${struct.name}` : struct.name;
  }

  /** The call that makes a struct of defaults; that function is emitted later. */
  defaultStruct(message: Message, name: string): string {
    const type = this.typeName(message, message.structs.get(name)!);
    this.#defaultStructs.add(type);
    return `default${type}()`;
  }

  /** The function that tests for a struct of defaults; it is emitted later. */
  isDefaultStruct(message: Message, name: string): string {
    const type = this.typeName(message, message.structs.get(name)!);
    this.#isDefaultStructs.add(type);
    return `isDefault${type}`;
  }

  wantsDefault(type: string): boolean {
    return this.#defaultStructs.has(type);
  }

  wantsIsDefault(type: string): boolean {
    return this.#isDefaultStructs.has(type);
  }

  text(): string {
    return this.#lines.join('\n');
  }
}

const LINE_WIDTH = 130;

/** Types that generated code needs under their own names. */
const RESERVED = new Set([
  'Api',
  'ApiVersions',
  'Codec',
  'Reader',
  'Writer',
  'Uuid',
  'Writable',
  'UnknownTag',
  'Map',
  'Set',
  'Error',
]);
