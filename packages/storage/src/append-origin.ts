/**
 * Who appends, which decides what is checked and who assigns offsets.
 * client: a Produce request; everything is checked, offsets are assigned.
 * coordinator: a group, transaction or share coordinator, or its marker; offsets are assigned, sequences are not checked.
 * raft: the leader of the metadata quorum, whose batches carry offsets and epoch already.
 * replication: a follower, which takes its leader's bytes as they are.
 */
export type AppendOrigin = 'client' | 'coordinator' | 'raft' | 'replication';
