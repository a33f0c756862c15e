export { BrokerServer, type ServerOptions } from './server.ts';
