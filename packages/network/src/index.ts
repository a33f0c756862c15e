export {
  type AcceptOptions,
  acceptConnections,
  defaultListenerLimits,
  type ListenerLimits,
  type ServerListener,
} from './accept-connections.ts';
export { ApiRanges } from './api-ranges.ts';
export { BrokerConnection, type BrokerConnectionOptions, type SendOptions } from './broker-connection.ts';
export { ConnectionQuota, type ConnectionQuotaLimits } from './connection-quota.ts';
export { BorrowedParts, type LateResponse, type Reply, type Response, type ResponseParts } from './exchanges.ts';
export { FrameBuffers } from './frame-buffers.ts';
export { FrameCutter, FrameSizeError } from './frame-cutter.ts';
export { type FrameParts, packFrames } from './outgoing-frames.ts';
export { type RateWindows, SampledRate } from './sampled-rate.ts';
export { type ConnectionLimits, REPLIES_LATER, type RequestHandler, type ServerConnection } from './server-connection.ts';
