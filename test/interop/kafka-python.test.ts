import { expectOf } from './expectations.ts';

expectOf('kafka-python');
