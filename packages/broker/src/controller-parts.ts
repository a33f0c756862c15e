import type { OperationRules } from './controller/controller-operations.ts';
import type { QuorumController } from './controller/quorum-controller.ts';
import type { NodeParts } from './node-parts.ts';

/** The parts of a node with the controller role, as the handlers of its controller listener see them. `controller-role.ts` makes them. */
export type ControllerParts = NodeParts & {
  readonly controller: QuorumController;
  readonly rules: OperationRules;
};
