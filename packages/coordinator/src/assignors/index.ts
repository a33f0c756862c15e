import type { GroupAssignor } from './group-assignor.ts';
import { rangeAssignor } from './range-assignor.ts';
import { simpleAssignor } from './simple-assignor.ts';
import { uniformAssignor } from './uniform-assignor.ts';
export const groupAssignors: readonly GroupAssignor[] = [uniformAssignor, rangeAssignor, simpleAssignor];
