/** A file's content breaks its format. Recovery rebuilds the file when it can; otherwise the log directory is at fault. */
export class CorruptFileError extends Error {
  override readonly name = 'CorruptFileError';
  readonly path: string;
  readonly problem: string;
  constructor(path: string, problem: string) {
    super(`${path} is corrupt: ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}
