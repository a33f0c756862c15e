import { expectOf } from './expectations.ts';

expectOf('kafkajs');
