/** Other threads, for work at start that would keep the event loop busy for long. Nothing in the path of a request goes there. */
export interface Workers {
  /**
   * Runs the task of that name, which the module serves (`serveWorkerTask`), on a thread of its own. Input, messages and result are
   * copied. Rejects with what the task threw (an IoError as one, others as an Error with the same name, message and fields of text), or the
   * reason of `signal`, at which the thread ends wherever it is.
   */
  run(task: WorkerTask, options?: { onMessage?: (message: unknown) => void; signal?: AbortSignal | undefined }): Promise<unknown>;
}

export type WorkerTask = { readonly module: string; readonly name: string; readonly input: unknown };
