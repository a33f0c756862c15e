package org.apache.kafka.controller;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.*;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.metadata.*;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.ApiError;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;
import org.apache.kafka.controller.metrics.QuorumControllerMetrics;
import org.apache.kafka.metadata.*;
import org.apache.kafka.metadata.placement.StripedReplicaPlacer;
import org.apache.kafka.server.common.*;
import org.apache.kafka.timeline.SnapshotRegistry;

/**
 * Random histories of a cluster, decided by Kafka's own controller, as lines of JSON: what was asked, which records it wrote, what it
 * answered. Arguments: histories, steps each, first seed; and "churn" for brokers that come and go all the time, and their isrs and directories.
 */
public class ControllerDecisions {
  static final ObjectMapper json = new ObjectMapper();
  static final String CLUSTER = "vPeOCWypqUOSepEvx0cbog";
  static final int BROKERS = 5;
  /** What ends a history: a topic that was deleted is still looked for in a directory that fails; the last leader is no replica any more. */
  static final List<String> KAFKA_GIVES_UP = List.of("existed in isrMembers, but not in the topics map", "is not assigned to this partition");

  /** A clock that stands still until it is told. */
  static final class HeldTime implements Time {
    long ms = 1_000_000;
    public long milliseconds() { return ms; }
    public long nanoseconds() { return TimeUnit.MILLISECONDS.toNanos(ms); }
    public void sleep(long more) { ms += more; }
    public void waitObject(Object o, Supplier<Boolean> condition, long deadline) { throw new UnsupportedOperationException(); }
    public Timer timer(long timeoutMs) { throw new UnsupportedOperationException(); }
  }

  final Random random;
  final boolean churns;
  final HeldTime time = new HeldTime();
  final FeatureControlManager features;
  final ClusterControlManager cluster;
  final ConfigurationControlManager configs;
  final ReplicationControlManager replication;
  final List<String> topics = new ArrayList<>();
  /** The metadata offset of each broker's last heartbeat. */
  final Map<Integer, Long> heard = new HashMap<>();
  long nextOffset = 0;
  int topicNumber = 0;

  public static void main(String[] args) throws Exception {
    int histories = Integer.parseInt(args[0]), steps = Integer.parseInt(args[1]), seed = Integer.parseInt(args[2]);
    boolean churns = args.length > 3 && args[3].equals("churn");
    for (int history = 0; history < histories; history++) {
      try {
        new ControllerDecisions(seed + history, churns).run(steps);
      } catch (RuntimeException e) {
        if (KAFKA_GIVES_UP.stream().noneMatch(e.getMessage()::contains)) throw e;
      }
    }
  }

  ControllerDecisions(int seed, boolean churns) throws Exception {
    // The first numbers of neighbouring seeds are alike: each history would have the same metadata.version.
    random = new Random(seed * 0x9E3779B97F4A7C15L);
    this.churns = churns;
    LogContext log = new LogContext();
    SnapshotRegistry registry = new SnapshotRegistry(log);
    features = new FeatureControlManager.Builder()
        .setLogContext(log)
        .setSnapshotRegistry(registry)
        .setQuorumFeatures(new QuorumFeatures(1, QuorumFeatures.defaultSupportedFeatureMap(false), List.of(1)))
        .build();
    cluster = new ClusterControlManager.Builder()
        .setLogContext(log)
        .setTime(time)
        .setSnapshotRegistry(registry)
        .setClusterId(CLUSTER)
        .setSessionTimeoutNs(TimeUnit.SECONDS.toNanos(9))
        .setReplicaPlacer(new StripedReplicaPlacer(random))
        .setFeatureControlManager(features)
        .setBrokerShutdownHandler((id, clean, records) -> handler().handleBrokerShutdown(id, clean, records))
        .setMetrics(new QuorumControllerMetrics(Optional.empty(), time, 9000))
        .build();
    configs = new ConfigurationControlManager.Builder()
        .setLogContext(log)
        .setSnapshotRegistry(registry)
        .setKafkaConfigSchema(kafka.server.KafkaRaftServer.configSchema())
        .setNodeId(1)
        .setFeatureControl(features)
        .build();
    replication = new ReplicationControlManager.Builder()
        .setLogContext(log)
        .setSnapshotRegistry(registry)
        .setConfigurationControl(configs)
        .setClusterControl(cluster)
        .setFeatureControl(features)
        .build();
    short version = new short[] {30, 30, 30, 30, 25, 22, 14, 9}[random.nextInt(8)];
    boolean keepsElr = version >= 25 && random.nextInt(4) > 0;
    List<ApiMessageAndVersion> first = new ArrayList<>();
    first.add(level("metadata.version", version));
    if (keepsElr) first.add(level("eligible.leader.replicas.version", (short) 1));
    if (version >= 30) first.add(level("group.version", (short) 1));
    ObjectNode op = op("new");
    op.put("metadataVersion", version);
    for (ApiMessageAndVersion record : first) replay(record, op);
    if (keepsElr) {
      List<ApiMessageAndVersion> safety = new ArrayList<>();
      configs.maybeGenerateElrSafetyRecords(safety);
      for (ApiMessageAndVersion record : safety) replay(record, op);
    }
    cluster.activate();
    System.out.println(json.writeValueAsString(op));
  }

  private ReplicationControlManager handler() { return replication; }

  static ApiMessageAndVersion level(String name, short level) {
    return new ApiMessageAndVersion(new FeatureLevelRecord().setName(name).setFeatureLevel(level), (short) 0);
  }

  void run(int steps) throws Exception {
    for (int id = 1; id <= BROKERS; id++) { register(id); heartbeat(id, false, false, List.of()); }
    createTopic();
    for (int step = 0; step < steps; step++) {
      int id = 1 + random.nextInt(BROKERS);
      int dice = topics.isEmpty() ? 0 : random.nextInt(100);
      if (cluster.brokerRegistrations().isEmpty()) dice = 60;
      if (churns) {
        churn(dice, id);
        continue;
      }
      if (dice < 8) createTopic();
      else if (dice < 11) deleteTopic();
      else if (dice < 14) createPartitions();
      else if (dice < 36) alterPartition();
      else if (dice < 44) reassign();
      else if (dice < 50) elect();
      else if (dice < 53) balance();
      else if (dice < 56) electUnclean();
      else if (dice < 64) register(id);
      else if (dice < 76) heartbeat(id, false, false, List.of());
      else if (dice < 80) heartbeat(id, false, true, List.of());
      else if (dice < 82) heartbeat(id, true, random.nextBoolean(), List.of());
      else if (dice < 85) heartbeat(id, false, false, random.nextInt(3) == 0 ? directories(id) : List.of(directories(id).get(0)));
      else if (dice < 87) unregister(id);
      else if (dice < 91) silence();
      else if (dice < 95) assignDirectories(id);
      else if (dice < 98) setConfig();
      else updateFeatures();
    }
  }

  void churn(int dice, int id) throws Exception {
    if (dice < 4) createTopic();
    else if (dice < 5) deleteTopic();
    else if (dice < 6) createPartitions();
    else if (dice < 26) alterPartition();
    else if (dice < 36) reassign();
    else if (dice < 41) elect();
    else if (dice < 44) balance();
    else if (dice < 47) electUnclean();
    else if (dice < 56) register(id);
    else if (dice < 68) heartbeat(id, false, false, List.of());
    else if (dice < 72) heartbeat(id, false, true, List.of());
    else if (dice < 75) heartbeat(id, true, random.nextBoolean(), List.of());
    else if (dice < 79) heartbeat(id, false, random.nextInt(5) == 0, List.of(directories(id).get(random.nextInt(directories(id).size()))));
    else if (dice < 84) unregister(id);
    else if (dice < 88) silence();
    else if (dice < 96) assignDirectories(id);
    else if (dice < 99) setConfig();
    else updateFeatures();
  }

  // What is asked.

  void register(int id) throws Exception {
    BrokerRegistration existing = cluster.brokerRegistrations().get(id);
    boolean isSame = existing != null && random.nextInt(6) == 0;
    Uuid incarnation = isSame ? existing.incarnationId() : new Uuid(random.nextLong() & Long.MAX_VALUE, random.nextLong() & Long.MAX_VALUE);
    long previousEpoch = existing != null && random.nextInt(2) == 0 ? existing.epoch() : -1;
    List<Uuid> dirs = features.metadataVersionOrThrow().isDirectoryAssignmentSupported() ? directories(id) : List.of();
    BrokerRegistrationRequestData.FeatureCollection offered = new BrokerRegistrationRequestData.FeatureCollection();
    QuorumFeatures.defaultSupportedFeatureMap(false).forEach((name, range) -> offered.add(new BrokerRegistrationRequestData.Feature()
        .setName(name).setMinSupportedVersion(range.min()).setMaxSupportedVersion(range.max())));
    BrokerRegistrationRequestData.ListenerCollection listeners = new BrokerRegistrationRequestData.ListenerCollection();
    listeners.add(new BrokerRegistrationRequestData.Listener().setName("PLAINTEXT").setHost("localhost").setPort(9000 + id));
    BrokerRegistrationRequestData request = new BrokerRegistrationRequestData()
        .setBrokerId(id).setClusterId(CLUSTER).setIncarnationId(incarnation).setListeners(listeners).setFeatures(offered)
        .setRack("rack-" + id % 2).setLogDirs(dirs).setPreviousBrokerEpoch(previousEpoch);
    ObjectNode op = op("registerBroker");
    op.set("request", BrokerRegistrationRequestDataJsonConverter.write(request, (short) 4));
    finish(op, () -> cluster.registerBroker(request, nextOffset, features.finalizedFeatures(Long.MAX_VALUE), true),
        reply -> json.createObjectNode().put("brokerEpoch", reply.epoch()));
  }

  void heartbeat(int id, boolean wantFence, boolean wantShutDown, List<Uuid> offline) throws Exception {
    BrokerRegistration broker = cluster.brokerRegistrations().get(id);
    long epoch = broker == null ? 7 : random.nextInt(20) == 0 ? broker.epoch() - 1 : broker.epoch();
    long offset = random.nextInt(5) == 0 ? Math.max(0, nextOffset - 1 - random.nextInt(40)) : nextOffset - 1;
    heartbeat(id, epoch, offset, wantFence, wantShutDown, offline);
  }

  void heartbeat(int id, long epoch, long offset, boolean wantFence, boolean wantShutDown, List<Uuid> offline) throws Exception {
    BrokerRegistration broker = cluster.brokerRegistrations().get(id);
    BrokerHeartbeatRequestData request = new BrokerHeartbeatRequestData()
        .setBrokerId(id).setBrokerEpoch(epoch).setCurrentMetadataOffset(offset).setWantFence(wantFence).setWantShutDown(wantShutDown)
        .setOfflineLogDirs(offline);
    if (features.metadataVersionOrThrow().isCordonedLogDirsSupported()) request.setCordonedLogDirs(cordoned(id));
    ObjectNode op = op("brokerHeartbeat");
    op.set("request", BrokerHeartbeatRequestDataJsonConverter.write(request, (short) 2));
    finish(op, () -> {
      cluster.trackBrokerHeartbeat(id, epoch);
      if (broker != null && epoch == broker.epoch()) heard.put(id, offset);
      return replication.processBrokerHeartbeat(request, cluster.registerBrokerRecordOffset(id).orElseThrow(
          () -> new org.apache.kafka.common.errors.StaleBrokerEpochException("not registered")));
    }, reply -> json.createObjectNode().put("isCaughtUp", reply.isCaughtUp()).put("isFenced", reply.isFenced())
        .put("shouldShutDown", reply.shouldShutDown()), reply -> {
      if (reply.inControlledShutdown()) cluster.heartbeatManager().maybeUpdateControlledShutdownOffset(id, nextOffset - 1);
    });
  }

  void unregister(int id) throws Exception {
    ObjectNode op = op("unregisterBroker");
    op.put("brokerId", id);
    finish(op, () -> replication.unregisterBroker(id), reply -> json.createObjectNode());
    if (!cluster.brokerRegistrations().containsKey(id) && random.nextBoolean()) register(id);
  }

  /** Time passes, and one broker is not heard of: were there several, hash tables would say who is fenced first. */
  void silence() throws Exception {
    time.ms += 1 + random.nextInt(9_500);
    int silent = 1 + random.nextInt(BROKERS);
    for (int id = 1; id <= BROKERS; id++) {
      BrokerRegistration broker = cluster.brokerRegistrations().get(id);
      if (broker != null && !broker.fenced() && id != silent)
        heartbeat(id, broker.epoch(), nextOffset - 1, false, broker.inControlledShutdown(), List.of());
    }
    ObjectNode op = op("fenceStale");
    finish(op, () -> {
      // Sessions of former incarnations end, too, without a record.
      ControllerResult<Boolean> result = replication.maybeFenceOneStaleBroker();
      for (int more = 0; more < 50 && result.records().isEmpty(); more++) result = replication.maybeFenceOneStaleBroker();
      return result;
    }, more -> json.createObjectNode());
  }

  void createTopic() throws Exception {
    if (topics.size() > 7) return;
    List<Integer> known = new ArrayList<>(cluster.brokerRegistrations().keySet());
    if (known.isEmpty()) return;
    int replicas = 1 + random.nextInt(Math.min(4, known.size())), partitions = 1 + random.nextInt(3);
    CreateTopicsRequestData.CreatableTopic topic = new CreateTopicsRequestData.CreatableTopic()
        .setName("topic-" + ++topicNumber).setNumPartitions(-1).setReplicationFactor((short) -1);
    for (int index = 0; index < partitions; index++) {
      Collections.shuffle(known, random);
      topic.assignments().add(new CreateTopicsRequestData.CreatableReplicaAssignment().setPartitionIndex(index)
          .setBrokerIds(new ArrayList<>(known.subList(0, replicas))));
    }
    if (random.nextInt(3) > 0) topic.configs().add(new CreateTopicsRequestData.CreatableTopicConfig()
        .setName("min.insync.replicas").setValue("" + (1 + random.nextInt(3))));
    if (random.nextInt(4) == 0) topic.configs().add(new CreateTopicsRequestData.CreatableTopicConfig()
        .setName("unclean.leader.election.enable").setValue("true"));
    CreateTopicsRequestData request = new CreateTopicsRequestData().setTimeoutMs(1000);
    request.topics().add(topic);
    ObjectNode op = op("createTopics");
    op.set("request", CreateTopicsRequestDataJsonConverter.write(request, (short) 7));
    finish(op, () -> replication.createTopics(context(ApiKeys.CREATE_TOPICS), request, Set.of(), false), reply -> {
      ObjectNode answer = json.createObjectNode();
      for (CreateTopicsResponseData.CreatableTopicResult each : reply.topics()) {
        answer.put("errorCode", each.errorCode()).put("errorMessage", each.errorMessage());
        if (each.errorCode() == 0) topics.add(each.name());
      }
      return answer;
    });
  }

  void deleteTopic() throws Exception {
    if (topics.size() < 2) return;
    String name = topics.remove(random.nextInt(topics.size()));
    Uuid id = replication.getTopicId(name);
    ObjectNode op = op("deleteTopics");
    op.put("name", name);
    finish(op, () -> replication.deleteTopics(context(ApiKeys.DELETE_TOPICS), List.of(id)), reply -> json.createObjectNode());
  }

  void createPartitions() throws Exception {
    String name = anyTopic();
    int now = replication.getTopic(replication.getTopicId(name)).numPartitions(Long.MAX_VALUE);
    if (now > 5) return;
    int replicas = partition(name, 0).replicas.length;
    List<Integer> known = new ArrayList<>(cluster.brokerRegistrations().keySet());
    if (known.size() < replicas) return;
    Collections.shuffle(known, random);
    CreatePartitionsRequestData.CreatePartitionsTopic topic = new CreatePartitionsRequestData.CreatePartitionsTopic().setName(name).setCount(now + 1)
        .setAssignments(List.of(new CreatePartitionsRequestData.CreatePartitionsAssignment().setBrokerIds(new ArrayList<>(known.subList(0, replicas)))));
    CreatePartitionsRequestData request = new CreatePartitionsRequestData();
    request.topics().add(topic);
    ObjectNode op = op("createPartitions");
    op.set("request", CreatePartitionsRequestDataJsonConverter.write(request, (short) 3));
    finish(op, () -> replication.createPartitions(context(ApiKeys.CREATE_PARTITIONS), List.of(topic)),
        reply -> json.createObjectNode().put("errorCode", reply.get(0).errorCode()).put("errorMessage", reply.get(0).errorMessage()));
  }

  void alterPartition() throws Exception {
    String name = anyTopic();
    Uuid topicId = replication.getTopicId(name);
    int index = anyPartition(name);
    PartitionRegistration partition = partition(name, index);
    int leader = partition.leader;
    boolean isOdd = random.nextInt(8) == 0;
    if (leader < 0 && !isOdd) return;
    Set<Integer> isr = new LinkedHashSet<>();
    boolean grows = random.nextInt(3) > 0;
    for (int id : partition.replicas) {
      boolean isUsable = cluster.isActive(id) || random.nextInt(10) == 0;
      if (id == leader || (isUsable && (grows ? random.nextInt(6) > 0 : random.nextBoolean()))) isr.add(id);
    }
    if (isOdd && random.nextInt(3) == 0) isr.remove(leader);
    if (isOdd && random.nextInt(3) == 0) isr.add(1 + random.nextInt(BROKERS));
    if (isr.isEmpty()) isr.add(1);
    List<AlterPartitionRequestData.BrokerState> states = isr.stream().map(id -> new AlterPartitionRequestData.BrokerState().setBrokerId(id)
        .setBrokerEpoch(!cluster.brokerRegistrations().containsKey(id) || random.nextInt(25) == 0 ? 3 : cluster.registration(id).epoch())).toList();
    int brokerId = isOdd && random.nextInt(3) == 0 || leader < 0 ? 1 + random.nextInt(BROKERS) : leader;
    BrokerRegistration asks = cluster.brokerRegistrations().get(brokerId);
    byte recovery = partition.leaderRecoveryState.value();
    if (recovery == 1 && random.nextInt(2) == 0 || random.nextInt(30) == 0) recovery = (byte) (1 - recovery);
    AlterPartitionRequestData.PartitionData data = new AlterPartitionRequestData.PartitionData().setPartitionIndex(index)
        .setLeaderEpoch(partition.leaderEpoch + (isOdd ? random.nextInt(3) - 1 : 0))
        .setPartitionEpoch(partition.partitionEpoch + (isOdd ? random.nextInt(3) - 1 : 0))
        .setNewIsrWithEpochs(states).setLeaderRecoveryState(recovery);
    AlterPartitionRequestData request = new AlterPartitionRequestData().setBrokerId(brokerId).setBrokerEpoch(asks == null ? 5 : asks.epoch());
    request.topics().add(new AlterPartitionRequestData.TopicData().setTopicId(topicId).setPartitions(List.of(data)));
    ObjectNode op = op("alterPartition");
    op.set("request", AlterPartitionRequestDataJsonConverter.write(request, (short) 3));
    finish(op, () -> replication.alterPartition(context(ApiKeys.ALTER_PARTITION), request),
        reply -> (ObjectNode) AlterPartitionResponseDataJsonConverter.write(reply, (short) 3));
  }

  void reassign() throws Exception {
    String name = anyTopic();
    int index = anyPartition(name);
    List<Integer> target = null;
    if (random.nextInt(3) > 0) {
      List<Integer> known = IntStream.rangeClosed(1, BROKERS).boxed().collect(Collectors.toList());
      Collections.shuffle(known, random);
      target = new ArrayList<>(known.subList(0, 1 + random.nextInt(4)));
      if (random.nextInt(15) == 0) target.add(target.get(0));
    }
    AlterPartitionReassignmentsRequestData request = new AlterPartitionReassignmentsRequestData()
        .setAllowReplicationFactorChange(random.nextInt(4) > 0);
    request.topics().add(new AlterPartitionReassignmentsRequestData.ReassignableTopic().setName(name).setPartitions(List.of(
        new AlterPartitionReassignmentsRequestData.ReassignablePartition().setPartitionIndex(index).setReplicas(target))));
    ObjectNode op = op("alterPartitionReassignments");
    op.set("request", AlterPartitionReassignmentsRequestDataJsonConverter.write(request, (short) 1));
    finish(op, () -> replication.alterPartitionReassignments(request),
        reply -> (ObjectNode) AlterPartitionReassignmentsResponseDataJsonConverter.write(reply, (short) 1));
  }

  void elect() throws Exception {
    ElectLeadersRequestData request = new ElectLeadersRequestData().setElectionType((byte) random.nextInt(2));
    if (random.nextInt(4) == 0) request.setTopicPartitions(null);
    else {
      String name = anyTopic();
      request.topicPartitions().add(new ElectLeadersRequestData.TopicPartitions().setTopic(name).setPartitions(List.of(anyPartition(name), 9)));
    }
    ObjectNode op = op("electLeaders");
    op.set("request", ElectLeadersRequestDataJsonConverter.write(request, (short) 2));
    finish(op, () -> replication.electLeaders(request), reply -> (ObjectNode) ElectLeadersResponseDataJsonConverter.write(reply, (short) 2));
  }

  void balance() throws Exception {
    finish(op("balanceLeaders"), replication::maybeBalancePartitionLeaders, more -> json.createObjectNode());
  }

  void electUnclean() throws Exception {
    finish(op("electUncleanLeaders"), replication::maybeElectUncleanLeaders, more -> json.createObjectNode());
  }

  void assignDirectories(int id) throws Exception {
    BrokerRegistration broker = cluster.brokerRegistrations().get(id);
    if (broker == null) return;
    String name = anyTopic();
    Uuid dir = random.nextInt(8) == 0 ? Uuid.fromString("AAAAAAAAAAAAAAAAAAAABQ") : random.nextInt(12) == 0 ? org.apache.kafka.common.DirectoryId.LOST
        : directories(id).get(random.nextInt(directories(id).size()));
    AssignReplicasToDirsRequestData.TopicData topic = new AssignReplicasToDirsRequestData.TopicData()
        .setTopicId(random.nextInt(12) == 0 ? Uuid.fromString("AAAAAAAAAAAAAAAAAAAABg") : replication.getTopicId(name));
    topic.partitions().add(new AssignReplicasToDirsRequestData.PartitionData().setPartitionIndex(random.nextInt(12) == 0 ? 8 : anyPartition(name)));
    AssignReplicasToDirsRequestData.DirectoryData directory = new AssignReplicasToDirsRequestData.DirectoryData().setId(dir);
    directory.topics().add(topic);
    AssignReplicasToDirsRequestData request = new AssignReplicasToDirsRequestData().setBrokerId(id).setBrokerEpoch(broker.epoch());
    request.directories().add(directory);
    ObjectNode op = op("assignReplicasToDirs");
    op.set("request", AssignReplicasToDirsRequestDataJsonConverter.write(request, (short) 0));
    finish(op, () -> replication.handleAssignReplicasToDirs(request),
        reply -> (ObjectNode) AssignReplicasToDirsResponseDataJsonConverter.write(reply, (short) 0));
  }

  void setConfig() throws Exception {
    boolean isTopic = random.nextInt(3) > 0;
    String name = isTopic ? anyTopic() : random.nextInt(4) == 0 ? "1" : "";
    String key = isTopic && random.nextBoolean() ? "unclean.leader.election.enable" : "min.insync.replicas";
    String value = key.startsWith("min") ? "" + (1 + random.nextInt(3)) : "" + random.nextBoolean();
    AlterConfigOp.OpType type = random.nextInt(4) == 0 ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET;
    ConfigResource resource = new ConfigResource(isTopic ? ConfigResource.Type.TOPIC : ConfigResource.Type.BROKER, name);
    ObjectNode op = op("setConfig");
    op.put("resourceType", isTopic ? 2 : 4).put("resourceName", name).put("name", key).put("configOperation", type.id());
    if (type == AlterConfigOp.OpType.SET) op.put("value", value);
    finish(op, () -> configs.incrementalAlterConfigs(Map.of(resource, Map.of(key, Map.entry(type, type == AlterConfigOp.OpType.SET ? value : ""))), false, false),
        reply -> error(reply.get(resource)));
  }

  void updateFeatures() throws Exception {
    String name = random.nextInt(3) > 0 ? "eligible.leader.replicas.version" : "metadata.version";
    short level = name.startsWith("e") ? (short) random.nextInt(3) : (short) (7 + random.nextInt(25));
    FeatureUpdate.UpgradeType type = FeatureUpdate.UpgradeType.fromCode(1 + random.nextInt(3));
    ObjectNode op = op("updateFeatures");
    op.put("feature", name).put("level", level).put("upgradeType", type.code());
    finish(op, () -> configs.updateFeatures(Map.of(name, level), Map.of(name, type), false, 1), ControllerDecisions::error);
  }

  // How it is told.

  interface Ask<T> { ControllerResult<T> get() throws Exception; }

  interface Told<T> { ObjectNode of(T response); }

  <T> void finish(ObjectNode op, Ask<T> ask, Told<T> told) throws Exception { finish(op, ask, told, response -> { }); }

  <T> void finish(ObjectNode op, Ask<T> ask, Told<T> told, java.util.function.Consumer<T> written) throws Exception {
    try {
      ControllerResult<T> result = ask.get();
      ObjectNode response = result.response() == null ? json.createObjectNode() : told.of(result.response());
      for (ApiMessageAndVersion record : result.records()) replay(record, op);
      written.accept(result.response());
      op.set("response", response);
    } catch (Exception e) {
      Throwable cause = e;
      Errors error = Errors.forException(cause);
      if (error == Errors.UNKNOWN_SERVER_ERROR) throw e;
      op.put("error", error.name());
    }
    System.out.println(json.writeValueAsString(op));
  }

  ObjectNode op(String name) {
    ObjectNode op = json.createObjectNode();
    op.put("op", name).put("nowMs", time.ms).put("offset", nextOffset);
    op.putArray("records");
    return op;
  }

  void replay(ApiMessageAndVersion message, ObjectNode op) {
    MetadataRecordType type = MetadataRecordType.fromId(message.message().apiKey());
    ObjectNode told = ((ArrayNode) op.get("records")).addObject();
    told.put("type", type.name()).put("version", message.version());
    told.set("data", MetadataJsonConverters.writeJson(message.message(), message.version()));
    long offset = nextOffset++;
    switch (type) {
      case FEATURE_LEVEL_RECORD -> features.replay((FeatureLevelRecord) message.message());
      case REGISTER_BROKER_RECORD -> {
        heard.remove(((RegisterBrokerRecord) message.message()).brokerId());
        cluster.replay((RegisterBrokerRecord) message.message(), offset);
      }
      case UNREGISTER_BROKER_RECORD -> cluster.replay((UnregisterBrokerRecord) message.message());
      case FENCE_BROKER_RECORD -> cluster.replay((FenceBrokerRecord) message.message());
      case UNFENCE_BROKER_RECORD -> cluster.replay((UnfenceBrokerRecord) message.message());
      case BROKER_REGISTRATION_CHANGE_RECORD -> {
        BrokerRegistrationChangeRecord change = (BrokerRegistrationChangeRecord) message.message();
        cluster.replay(change);
        // Kafka forgets here how far the broker has heard, until its next heartbeat: a matter of time, which is not what is compared.
        BrokerRegistration now = cluster.registration(change.brokerId());
        if (!now.fenced()) cluster.heartbeatManager().touch(now.id(), false, heard.getOrDefault(now.id(), -1L));
      }
      case TOPIC_RECORD -> replication.replay((TopicRecord) message.message());
      case PARTITION_RECORD -> replication.replay((PartitionRecord) message.message());
      case PARTITION_CHANGE_RECORD -> replication.replay((PartitionChangeRecord) message.message());
      case REMOVE_TOPIC_RECORD -> replication.replay((RemoveTopicRecord) message.message());
      case CLEAR_ELR_RECORD -> replication.replay((ClearElrRecord) message.message());
      case CONFIG_RECORD -> configs.replay((ConfigRecord) message.message());
      default -> throw new IllegalStateException("no replay for " + type);
    }
  }

  static ObjectNode error(ApiError error) {
    return json.createObjectNode().put("errorCode", error.error().code()).put("errorMessage", error.message());
  }

  // Odds and ends.

  String anyTopic() { return topics.get(random.nextInt(topics.size())); }

  PartitionRegistration partition(String name, int index) { return replication.getPartition(replication.getTopicId(name), index); }

  int anyPartition(String name) { return random.nextInt(replication.getTopic(replication.getTopicId(name)).numPartitions(Long.MAX_VALUE)); }

  List<Uuid> cordoned(int id) {
    return churns && random.nextInt(8) == 0 ? List.of(directories(id).get(0)) : List.of();
  }

  /** Brokers with an even id have two. */
  static List<Uuid> directories(int id) {
    return id % 2 == 0 ? List.of(new Uuid(id, 101), new Uuid(id, 102)) : List.of(new Uuid(id, 101));
  }

  static ControllerRequestContext context(ApiKeys key) {
    return new ControllerRequestContext(new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(key.latestVersion()),
        KafkaPrincipal.ANONYMOUS, OptionalLong.empty());
  }
}
