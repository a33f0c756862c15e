import { expectOf } from './expectations.ts';

expectOf('java');
