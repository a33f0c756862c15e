import { CreateAcls, DeleteAcls, DescribeAcls, KafkaError, SaslAuthenticate, SaslHandshake } from '@ottla/protocol';
import { type Handler, handler } from './handler.ts';

const NO_AUTHORIZER = 'No Authorizer is configured.';
const NO_AUTHORIZER_ON_BROKER = 'No Authorizer is configured on the broker';
const ILLEGAL_SASL_STATE = new KafkaError('ILLEGAL_SASL_STATE').code;
const SECURITY_DISABLED = new KafkaError('SECURITY_DISABLED').code;

/** What a broker without authorizer and without SASL answers to those who ask for either: Kafka's errors. */
export const securityDisabledHandlers = [
  handler(DescribeAcls, () => ({ errorCode: SECURITY_DISABLED, errorMessage: NO_AUTHORIZER_ON_BROKER, resources: [] })),
  handler(CreateAcls, ({ creations }) => ({
    results: creations.map(() => ({ errorCode: SECURITY_DISABLED, errorMessage: NO_AUTHORIZER })),
  })),
  handler(DeleteAcls, ({ filters }) => ({
    filterResults: filters.map(() => ({ errorCode: SECURITY_DISABLED, errorMessage: NO_AUTHORIZER, matchingAcls: [] })),
  })),
  handler(SaslHandshake, () => ({ errorCode: ILLEGAL_SASL_STATE, mechanisms: [] })),
  handler(SaslAuthenticate, () => ({
    errorCode: ILLEGAL_SASL_STATE,
    errorMessage: 'SaslAuthenticate request received after successful authentication',
  })),
] as unknown as readonly Handler[];
