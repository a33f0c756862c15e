import { BrokerConnection } from '@ottla/network';
import { BrokerHeartbeat, type BrokerHeartbeatRequest, errorName } from '@ottla/protocol';
import { type Address, type Runtime, sleep } from '@ottla/runtime';

export type DeadBroker = { readonly nodeId: number; readonly brokerEpoch: number };

const TRY_AGAIN_MS = 100;
const ATTEMPT_TIMEOUT_MS = 2_000;
/** By then its session has ended. */
const PATIENCE_MS = 9_000;

/**
 * Tells the active controller, in the name of a broker whose process has ended, that it is to be fenced and let go: the heartbeat that the
 * broker would have sent if it could. So its partitions get other leaders at once, and its next incarnation may register, where the controller
 * would otherwise wait for its session to end. The broker's epoch makes sure that nobody else is meant. Never rejects: then time does it.
 */
export async function tellDeath(
  runtime: Pick<Runtime, 'network' | 'timers' | 'clock' | 'logger'>,
  controllers: readonly Address[],
  { nodeId, brokerEpoch }: DeadBroker,
): Promise<void> {
  const { timers, clock, logger } = runtime;
  const deadlineMs = clock.monotonicMs() + PATIENCE_MS;
  const request: BrokerHeartbeatRequest = {
    brokerId: nodeId,
    brokerEpoch,
    currentMetadataOffset: -1,
    wantFence: true,
    wantShutDown: true,
    offlineLogDirs: [],
    cordonedLogDirs: null,
  };
  while (clock.monotonicMs() < deadlineMs) {
    for (const address of controllers) {
      try {
        const error = await ask(runtime, address, request);
        if (error === 'NOT_CONTROLLER') continue;
        logger.debug('the controller knows that a node has ended', { nodeId, brokerEpoch, error });
        return;
      } catch {
        // It may be the one that has ended; another leads soon.
      }
    }
    await sleep(timers, TRY_AGAIN_MS);
  }
}

async function ask(
  runtime: Pick<Runtime, 'network' | 'timers' | 'clock'>,
  address: Address,
  request: BrokerHeartbeatRequest,
): Promise<string> {
  const connection = await BrokerConnection.connect({
    ...runtime,
    address,
    clientId: 'supervisor',
    connectTimeoutMs: ATTEMPT_TIMEOUT_MS,
  });
  try {
    const { errorCode } = await connection.send(BrokerHeartbeat, request, { timeoutMs: ATTEMPT_TIMEOUT_MS });
    return errorName(errorCode);
  } finally {
    await connection.close();
  }
}
