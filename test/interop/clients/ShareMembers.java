import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.*;

/** Members of share groups by name, each doing only what it is told, save that the client sends its heartbeats by itself. */
class ShareMembers {
  static final Map<String, KafkaShareConsumer<String, String>> members = new ConcurrentHashMap<>();
  /** By member, topic, partition and offset. */
  static final Map<List<Object>, ConsumerRecord<String, String>> delivered = new ConcurrentHashMap<>();

  static void define(Map<String, JavaClient.Operation> operations) {
    operations.put("shareJoin", ShareMembers::join);
    operations.put("sharePoll", ShareMembers::poll);
    operations.put("acknowledge", args -> {
      var member = member(args);
      synchronized (member) {
        for (JsonNode one : args.get("acknowledgements"))
          member.acknowledge(delivered.get(List.of(args.get("member").asText(), one.get(0).asText(), one.get(1).asInt(), one.get(2).asLong())),
            AcknowledgeType.valueOf(one.get(3).asText()));
      }
      return null;
    });
    operations.put("shareCommit", args -> {
      var member = member(args);
      synchronized (member) {
        Map<String, Object> outcomes = new TreeMap<>();
        member.commitSync(Duration.ofSeconds(60)).forEach((partition, failure) ->
          outcomes.put(partition.topic() + "-" + partition.partition(), failure.map(JavaClient::codeOf).orElse(0)));
        return outcomes;
      }
    });
    operations.put("shareLeave", args -> {
      var member = members.remove(args.get("member").asText());
      synchronized (member) {
        member.close();
      }
      return null;
    });
    operations.put("shareGroup", args -> {
      String group = JavaClient.group(args);
      ShareGroupDescription found = JavaClient.admin().describeShareGroups(List.of(group)).describedGroups().get(group).get();
      List<String> assigned = new ArrayList<>();
      // A group of any members is stable, but an assignment may wait for group.share.assignment.interval.ms, and for a heartbeat of each.
      boolean isSettled = found.targetAssignmentEpoch() == found.groupEpoch();
      for (ShareMemberDescription member : found.members()) {
        isSettled &= member.memberEpoch() == found.groupEpoch();
        TreeSet<String> names = new TreeSet<>();
        member.assignment().topicPartitions().forEach(partition -> names.add(partition.toString()));
        assigned.add(member.clientId() + ": " + String.join(" ", names));
      }
      Collections.sort(assigned);
      return Map.of("state", found.groupState().toString(), "isSettled", isSettled, "members", assigned);
    });
    operations.put("shareOffsets", args -> {
      Map<String, Object> offsets = new TreeMap<>();
      JavaClient.admin().listShareGroupOffsets(Map.of(JavaClient.group(args), new ListShareGroupOffsetsSpec()))
        .partitionsToOffsetInfo(JavaClient.group(args)).get()
        .forEach((partition, found) -> offsets.put(partition.toString(), found == null ? "none" : found.startOffset() + ", lag " + found.lag().orElse(-1L)));
      return offsets;
    });
  }

  static KafkaShareConsumer<String, String> member(JsonNode args) {
    return members.get(args.get("member").asText());
  }

  static Object join(JsonNode args) {
    Map<String, Object> configs = new HashMap<>();
    configs.put("bootstrap.servers", JavaClient.bootstrap);
    configs.put("group.id", JavaClient.group(args));
    configs.put("client.id", args.path("clientId").asText("java"));
    configs.put("share.acknowledgement.mode", args.path("mode").asText("explicit"));
    args.path("configs").properties().forEach(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
    var member = new KafkaShareConsumer<>(configs, new StringDeserializer(), new StringDeserializer());
    List<String> topics = new ArrayList<>();
    args.get("topics").forEach(topic -> topics.add(topic.asText()));
    member.subscribe(topics);
    members.put(args.get("member").asText(), member);
    return null;
  }

  /** The first records that come: [topic, partition, offset, value, deliveryCount] of each. */
  static Object poll(JsonNode args) {
    var member = member(args);
    synchronized (member) {
      List<Object> found = new ArrayList<>();
      long deadline = System.currentTimeMillis() + args.path("timeoutMs").asLong(60000);
      while (found.isEmpty() && System.currentTimeMillis() < deadline)
        for (var record : member.poll(Duration.ofMillis(200))) {
          delivered.put(List.of(args.get("member").asText(), record.topic(), record.partition(), record.offset()), record);
          found.add(List.of(record.topic(), record.partition(), record.offset(), record.value(), record.deliveryCount().orElse((short) 0)));
        }
      return found;
    }
  }
}
