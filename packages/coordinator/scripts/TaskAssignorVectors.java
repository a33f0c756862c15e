import java.util.*;
import java.util.stream.*;
import org.apache.kafka.coordinator.group.streams.assignor.*;

/**
 * Prints vectors/task-assignor.jsonl: what Apache Kafka's sticky task assignor gives random groups through some rounds in which members
 * join, leave and the number of standbys changes. Arguments: seed, number of groups, rounds each.
 */
public class TaskAssignorVectors {
  record Subtopology(String id, int tasks, boolean stateful) {}

  public static void main(String[] args) {
    var random = new Random(Long.parseLong(args[0]));
    for (int group = 0; group < Integer.parseInt(args[1]); group++) {
      var topology = topology(random);
      boolean hasUuids = random.nextInt(3) == 0;
      int processes = 1 + random.nextInt(6);
      int largest = 1 + random.nextInt(random.nextInt(6) == 0 ? 30 : 8);
      Map<String, String> processOf = new TreeMap<>();
      Map<String, MemberAssignment> previous = new HashMap<>();
      for (int round = 0; round < Integer.parseInt(args[2]); round++) {
        processOf.keySet().removeIf(id -> random.nextInt(4) == 0);
        do {
          String id = hasUuids ? new UUID(random.nextLong(), random.nextLong()).toString() : "m" + random.nextInt(100);
          processOf.putIfAbsent(id, (hasUuids ? "0000-process-" : "p") + random.nextInt(processes));
        } while (processOf.size() < largest && random.nextInt(4) > 0);
        int standbys = random.nextInt(3);
        var members = new HashMap<String, AssignmentMemberSpec>();
        for (var entry : processOf.entrySet()) {
          var before = previous.getOrDefault(entry.getKey(), MemberAssignment.empty());
          members.put(entry.getKey(), new AssignmentMemberSpec(Optional.empty(), Optional.empty(), before.activeTasks(), before.standbyTasks(),
              before.warmupTasks(), entry.getValue(), Map.of(), Map.of(), Map.of()));
        }
        var result = new StickyTaskAssignor().assign(new GroupSpecImpl(members, Map.of("num.standby.replicas", "" + standbys)), describer(topology));
        print(topology, standbys, processOf, previous, result.members());
        previous = result.members();
      }
    }
  }

  static List<Subtopology> topology(Random random) {
    int count = 1 + random.nextInt(random.nextInt(10) == 0 ? 12 : 4);
    return IntStream.range(0, count).mapToObj(id -> new Subtopology("" + id, 1 + random.nextInt(10), random.nextBoolean())).toList();
  }

  static TopologyDescriber describer(List<Subtopology> topology) {
    var byId = topology.stream().collect(Collectors.toMap(Subtopology::id, one -> one));
    return new TopologyDescriber() {
      public List<String> subtopologies() { return topology.stream().map(Subtopology::id).sorted().toList(); }
      public int maxNumInputPartitions(String id) { return byId.get(id).tasks(); }
      public boolean isStateful(String id) { return byId.get(id).stateful(); }
    };
  }

  static void print(List<Subtopology> topology, int standbys, Map<String, String> processOf, Map<String, MemberAssignment> previous, Map<String, MemberAssignment> given) {
    System.out.println("{\"subtopologies\":" + list(topology.stream().map(one -> "[" + text(one.id()) + "," + one.tasks() + "," + one.stateful() + "]"))
        + ",\"standbyReplicas\":" + standbys
        + ",\"members\":" + object(processOf.entrySet().stream().map(entry -> text(entry.getKey()) + ":{\"processId\":" + text(entry.getValue())
            + assignment(previous.getOrDefault(entry.getKey(), MemberAssignment.empty())) + "}"))
        + ",\"given\":" + object(new TreeMap<>(given).entrySet().stream().map(entry -> text(entry.getKey()) + ":{"
            + assignment(entry.getValue()).substring(1) + "}")) + "}");
  }

  static String assignment(MemberAssignment given) {
    return ",\"active\":" + tasks(given.activeTasks()) + ",\"standby\":" + tasks(given.standbyTasks());
  }

  static String tasks(Map<String, Set<Integer>> tasks) {
    return object(new TreeMap<>(tasks).entrySet().stream().filter(entry -> !entry.getValue().isEmpty())
        .map(entry -> text(entry.getKey()) + ":" + list(entry.getValue().stream().sorted().map(String::valueOf))));
  }

  static String text(String value) { return "\"" + value + "\""; }
  static String list(Stream<String> items) { return items.collect(Collectors.joining(",", "[", "]")); }
  static String object(Stream<String> items) { return items.collect(Collectors.joining(",", "{", "}")); }
}
