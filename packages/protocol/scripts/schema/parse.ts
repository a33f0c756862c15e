/**
 * Parses the schema notation, which ../../schemas/README.md describes:
 *
 *   api Produce 0
 *   listeners broker
 *
 *   request 3-13 flexible 9+
 *     transactionalId: string? = null
 *     topicData: TopicProduceData[]
 *       name: string  v3-12 key ignorable
 */
import {
  type Declaration,
  type ElementType,
  type Field,
  intersection,
  type Message,
  type Primitive,
  primitives,
  type Range,
  type Role,
  type Struct,
} from './model.ts';

interface Line {
  readonly number: number;
  readonly indent: number;
  readonly text: string;
}

export class SchemaError extends Error {}

export function parseSchema(source: string, fileName: string): Declaration[] {
  return new Parser(source, fileName).declarations();
}

const FIELD = /^(\w+): (\w+)(\[\])?(?:(\?)(\d[\d+-]*)?)?(?: = (\S+))?(?:\s+(.*))?$/;

class Parser {
  readonly #lines: Line[];
  readonly #fileName: string;
  #at = 0;

  constructor(source: string, fileName: string) {
    this.#fileName = fileName;
    this.#lines = source
      .split('\n')
      .map((text, index) => ({ number: index + 1, indent: text.search(/\S/), text: text.replace(/(^|\s)#.*$/, '').trim() }))
      .filter(({ text }) => text !== '');
  }

  declarations(): Declaration[] {
    const found: Declaration[] = [];
    while (this.#at < this.#lines.length) found.push(this.#declaration());
    return found;
  }

  #declaration(): Declaration {
    const line = this.#next();
    const [kind, name, ...rest] = line.text.split(/\s+/);
    if (name === undefined) throw this.#error(line, 'a declaration has a name');
    if (kind === 'api') {
      const listeners = this.#peek()?.text.startsWith('listeners ') ? this.#next().text.split(/\s+/).slice(1) : [];
      const messages = [this.#section('request', `${name}Request`), this.#section('response', `${name}Response`)];
      return { kind, name, number: Number(rest[0]), listeners, messages };
    }
    if (kind === 'coordinator') {
      const messages = [this.#section('key', `${name}Key`), this.#section('value', `${name}Value`)];
      return { kind, name, number: Number(rest[0]), listeners: [], messages };
    }
    if (kind === 'record' || kind === 'data') {
      const at = rest.indexOf('versions');
      if (at < 0) throw this.#error(line, 'versions are missing');
      const number = at === 0 ? null : Number(rest[0]);
      return { kind, name, number, listeners: [], messages: [this.#message(kind, name, rest.slice(at + 1), line)] };
    }
    throw this.#error(line, `no such declaration: ${kind}`);
  }

  #section(role: Role, name: string): Message {
    const line = this.#next();
    const [word, ...rest] = line.text.split(/\s+/);
    if (word !== role) throw this.#error(line, `expected ${role}`);
    return this.#message(role, name, rest, line);
  }

  /** `words` are what follows the role: `3-13 flexible 9+ unstable`. */
  #message(role: Role, name: string, words: readonly string[], line: Line): Message {
    const versions = this.#range(words[0] ?? '', { first: 0, last: Number.MAX_SAFE_INTEGER }, line);
    const flexibleAt = words.indexOf('flexible');
    const flexible = flexibleAt < 0 ? null : this.#range(words[flexibleAt + 1] ?? '', versions, line);
    const structs = new Map<string, Struct>();
    while (this.#peek()?.text.startsWith('struct ')) {
      const header = this.#next();
      const [, structName, range] = header.text.split(/\s+/);
      const structVersions = range === undefined ? versions : this.#range(range.slice(1), versions, header);
      structs.set(structName!, {
        name: structName!,
        versions: structVersions,
        fields: this.#fields(header.indent, structVersions, structs),
      });
    }
    const root = { name, versions, fields: this.#fields(line.indent, versions, structs) };
    for (const struct of [root, ...structs.values()]) this.#check(struct, structs, line);
    return {
      role,
      name,
      versions,
      flexibleFrom: flexible?.first ?? null,
      isLatestUnstable: words.includes('unstable'),
      root,
      structs: innermostFirst(root, structs),
    };
  }

  #fields(parentIndent: number, parent: Range, structs: Map<string, Struct>): Field[] {
    const fields: Field[] = [];
    for (let line = this.#peek(); line !== undefined && line.indent > parentIndent; line = this.#peek()) {
      if (line.indent !== parentIndent + 2) throw this.#error(line, 'indent by two spaces');
      fields.push(this.#field(this.#next(), parent, structs));
    }
    return fields;
  }

  #field(line: Line, parent: Range, structs: Map<string, Struct>): Field {
    const match = FIELD.exec(line.text);
    if (match === null) throw this.#error(line, 'not a field');
    const [, name, typeName, brackets, question, nullableFrom, literal, options = ''] = match;
    const words = options.split(/\s+/).filter((word) => word !== '');
    const versionWord = words.find((word) => /^v\d/.test(word));
    const versions = versionWord === undefined ? parent : this.#range(versionWord.slice(1), parent, line);
    const tagAt = words.indexOf('tag');
    const element: ElementType = primitives.includes(typeName as Primitive)
      ? { kind: 'primitive', name: typeName as Primitive }
      : { kind: 'struct', name: typeName! };
    const nested = this.#fields(line.indent, versions, structs);
    if (nested.length > 0) {
      if (element.kind === 'primitive' || structs.has(element.name))
        throw this.#error(line, `${typeName} has its fields elsewhere`);
      structs.set(element.name, { name: element.name, versions, fields: nested });
    }
    return {
      name: name!,
      element,
      isArray: brackets !== undefined,
      versions,
      nullable: question === undefined ? null : nullableFrom === undefined ? versions : this.#range(nullableFrom, versions, line),
      tag: tagAt < 0 ? null : Number(words[tagAt + 1]),
      default: literal,
      isKey: words.includes('key'),
      isIgnorable: words.includes('ignorable'),
      isPlain: words.includes('plain'),
    };
  }

  /** `3`, `0-4` or `2+`, which must touch `within`. */
  #range(text: string, within: Range, line: Line): Range {
    const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text);
    if (match === null) throw this.#error(line, `not a range of versions: ${text}`);
    const first = Number(match[1]);
    const last = match[2] === '+' ? within.last : match[3] === undefined ? first : Number(match[3]);
    const range = intersection({ first, last }, within);
    if (range === null) throw this.#error(line, `${text} lies outside of what holds it`);
    return range;
  }

  #check(struct: Struct, structs: ReadonlyMap<string, Struct>, line: Line): void {
    for (const { name, element } of struct.fields) {
      if (element.kind === 'struct' && !structs.has(element.name))
        throw this.#error(line, `${struct.name}.${name}: no struct ${element.name}`);
    }
    const tags = struct.fields.filter(({ tag }) => tag !== null).map(({ tag }) => tag as number);
    // Unknown tags are written after the known ones, which is in order only as long as the known ones leave no gap.
    if (tags.sort((a, b) => a - b).some((tag, index) => tag !== index))
      throw this.#error(line, `the tags of ${struct.name} leave a gap`);
  }

  #peek(): Line | undefined {
    return this.#lines[this.#at];
  }

  #next(): Line {
    const line = this.#lines[this.#at];
    if (line === undefined) throw new SchemaError(`${this.#fileName}: ends too early`);
    this.#at++;
    return line;
  }

  #error(line: Line, message: string): SchemaError {
    return new SchemaError(`${this.#fileName}:${line.number}: ${message}: ${line.text}`);
  }
}

function innermostFirst(root: Struct, structs: ReadonlyMap<string, Struct>): Map<string, Struct> {
  const ordered = new Map<string, Struct>();
  const visit = (struct: Struct, path: readonly string[]): void => {
    if (path.includes(struct.name)) throw new SchemaError(`${struct.name} contains itself`);
    for (const { element } of struct.fields) {
      if (element.kind === 'struct' && !ordered.has(element.name)) visit(structs.get(element.name)!, [...path, struct.name]);
    }
    if (struct !== root) ordered.set(struct.name, struct);
  };
  visit(root, []);
  return ordered;
}
