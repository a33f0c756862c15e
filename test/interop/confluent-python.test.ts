import { expectOf } from './expectations.ts';

expectOf('confluent-python');
