/** What a client has just been told, for promises that are about what was true at that moment. */
export type ClientNews =
  | {
      readonly type: 'acknowledged';
      readonly client: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    }
  | {
      readonly type: 'committedOffset';
      readonly client: string;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    }
  | {
      readonly type: 'acquired';
      readonly client: string;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly firstOffset: number;
      readonly lastOffset: number;
      readonly deliveryCount: number;
      /** When it asked for them. */
      readonly beganMs: number;
    }
  | {
      /** It is about to say what shall become of them, and may never hear whether it was heard. */
      readonly type: 'settling';
      readonly client: string;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly firstOffset: number;
      readonly lastOffset: number;
      readonly how: 'accept' | 'release' | 'reject';
    }
  | {
      readonly type: 'settled';
      readonly client: string;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly firstOffset: number;
      readonly lastOffset: number;
      readonly atMs: number;
    }
  | {
      readonly type: 'assigned';
      readonly client: string;
      readonly group: string;
      readonly generation: number;
      readonly partitions: readonly string[];
    }
  | {
      readonly type: 'read';
      readonly client: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
      readonly isolation: 'read_committed' | 'read_uncommitted';
    };
