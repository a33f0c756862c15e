import java.util.*;
import java.util.stream.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.coordinator.common.runtime.*;
import org.apache.kafka.coordinator.group.generated.*;
import org.apache.kafka.coordinator.group.generated.StreamsGroupTopologyValue.*;
import org.apache.kafka.coordinator.group.streams.*;
import org.apache.kafka.coordinator.group.streams.topics.*;
import org.slf4j.LoggerFactory;

/**
 * Prints vectors/streams-topology.jsonl: what Apache Kafka makes of random topologies in random clusters. Arguments: seed, count.
 */
public class TopologyVectors {
  public static void main(String[] args) {
    var random = new Random(Long.parseLong(args[0]));
    for (int at = 0; at < Integer.parseInt(args[1]); at++) {
      var topology = topology(random);
      var names = StreamsTopology.fromRecord(topology).requiredTopics();
      var existing = new TreeMap<String, Integer>();
      boolean isComplete = random.nextInt(3) > 0;
      int usual = 1 + random.nextInt(4);
      for (String name : new TreeSet<>(names)) {
        boolean isSource = name.startsWith("in");
        if (isSource ? isComplete || random.nextInt(4) > 0 : random.nextInt(5) == 0)
          existing.put(name, random.nextInt(5) > 0 ? usual : 1 + random.nextInt(6));
      }
      System.out.println("{\"topology\":" + StreamsGroupTopologyValueJsonConverter.write(topology, (short) 0) + ",\"existing\":"
          + object(existing.entrySet().stream().map(entry -> text(entry.getKey()) + ":" + entry.getValue())) + "," + outcome(topology, existing) + "}");
    }
  }

  static StreamsGroupTopologyValue topology(Random random) {
    int count = 1 + random.nextInt(random.nextInt(8) == 0 ? 14 : 5);
    var value = new StreamsGroupTopologyValue().setEpoch(random.nextInt(3));
    boolean hasFixed = random.nextInt(3) == 0;
    Map<String, TopicInfo> repartition = new TreeMap<>();
    for (int at = 0; at < count; at++) {
      var name = "app-repartition-" + at;
      repartition.put(name, new TopicInfo().setName(name).setPartitions(hasFixed && random.nextInt(3) == 0 ? 1 + random.nextInt(4) : 0)
          .setReplicationFactor((short) random.nextInt(3)).setTopicConfigs(List.of(new TopicConfig().setKey("cleanup.policy").setValue("delete"),
          new TopicConfig().setKey("retention.ms").setValue("-1"), new TopicConfig().setKey("segment.bytes").setValue("50"))));
    }
    for (int at = 0; at < count; at++) {
      var one = new Subtopology().setSubtopologyId("" + at);
      var sources = new ArrayList<>(IntStream.range(0, 5).filter(in -> random.nextInt(4) == 0).mapToObj(in -> "in" + in).toList());
      var reads = repartition.values().stream().filter(topic -> random.nextInt(4) == 0).toList();
      if (sources.isEmpty() && reads.isEmpty() && random.nextInt(10) > 0) sources.add("in" + random.nextInt(5));
      one.setSourceTopics(sources).setRepartitionSourceTopics(reads);
      one.setRepartitionSinkTopics(repartition.keySet().stream().filter(topic -> random.nextInt(3) == 0).toList());
      final int id = at;
      one.setStateChangelogTopics(IntStream.range(0, random.nextInt(3)).mapToObj(store -> new TopicInfo().setName("app-store-" + id + "-" + store + "-changelog")
          .setTopicConfigs(List.of(new TopicConfig().setKey("cleanup.policy").setValue("compact")))).toList());
      var groups = new ArrayList<CopartitionGroup>();
      for (int group = random.nextInt(3); group > 0; group--) {
        groups.add(new CopartitionGroup()
            .setSourceTopics(IntStream.range(0, sources.size()).filter(in -> random.nextInt(3) == 0).mapToObj(in -> (short) in).toList())
            .setRepartitionSourceTopics(IntStream.range(0, reads.size()).filter(in -> random.nextInt(2) == 0).mapToObj(in -> (short) in).toList()));
      }
      value.subtopologies().add(one.setCopartitionGroups(groups));
    }
    return value;
  }

  static String outcome(StreamsGroupTopologyValue topology, Map<String, Integer> existing) {
    try {
      var found = InternalTopicManager.configureTopics(LoggerFactory.getLogger("quiet"), "g", "m", 0, StreamsTopology.fromRecord(topology), image(existing), Time.SYSTEM);
      var problem = found.topicConfigurationException().map(e -> "[" + text(e.status().name()) + "," + text(e.getMessage()) + "]").orElse("null");
      var tasks = found.subtopologies().map(all -> object(all.entrySet().stream().map(one -> text(one.getKey()) + ":" + one.getValue().numberOfTasks()))).orElse("null");
      var create = object(new TreeMap<>(found.internalTopicsToBeCreated()).values().stream().map(topic -> text(topic.name()) + ":[" + topic.numPartitions() + ","
          + topic.replicationFactor() + "," + list(topic.configs().stream().map(c -> text(c.name() + "=" + c.value()))) + "]"));
      return "\"problem\":" + problem + ",\"tasks\":" + tasks + ",\"create\":" + create;
    } catch (RuntimeException e) {
      return "\"error\":[" + text(e.getClass().getSimpleName()) + "," + text(e.getMessage()) + "]";
    }
  }

  static CoordinatorMetadataImage image(Map<String, Integer> existing) {
    record Topic(String name, Uuid id, int partitionCount) implements CoordinatorMetadataImage.TopicMetadata {
      public List<String> partitionRacks(int partition) { return List.of(); }
    }
    return new CoordinatorMetadataImage() {
      public Set<Uuid> topicIds() { return Set.of(); }
      public Set<String> topicNames() { return existing.keySet(); }
      public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(String name) {
        return Optional.ofNullable(existing.get(name)).map(count -> new Topic(name, Uuid.randomUuid(), count));
      }
      public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(Uuid id) { return Optional.empty(); }
      public CoordinatorMetadataDelta emptyDelta() { return null; }
      public long version() { return 1; }
      public boolean isEmpty() { return false; }
    };
  }

  static String text(String value) { return "\"" + value + "\""; }
  static String list(Stream<String> items) { return items.collect(Collectors.joining(",", "[", "]")); }
  static String object(Stream<String> items) { return items.collect(Collectors.joining(",", "{", "}")); }
}
