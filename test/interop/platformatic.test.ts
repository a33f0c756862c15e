import { expectOf } from './expectations.ts';

expectOf('platformatic');
