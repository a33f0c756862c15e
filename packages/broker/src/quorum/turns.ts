import type { Timers } from '@ottla/runtime';

/** Lets what waits for the event loop go first: a node that does something long must not look dead to the others. */
export const nextTurn = (timers: Timers): Promise<void> => new Promise((resolve) => timers.soon(resolve));
