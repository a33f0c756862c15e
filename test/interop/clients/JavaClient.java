import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's own Java clients and command-line tools in one JVM, driven like worker.py: a JSON request per line in,
 * a JSON answer per line out.
 */
public class JavaClient {
  interface Operation {
    Object run(JsonNode args) throws Exception;
  }

  static final ObjectMapper json = new ObjectMapper();
  static final Map<String, Operation> operations = new HashMap<>();
  static final Map<String, Member> members = new ConcurrentHashMap<>();
  static final PrintStream answers = System.out;
  static String bootstrap;
  static Admin admin;

  public static void main(String[] argv) throws Exception {
    bootstrap = argv[0];
    System.setOut(System.err);
    define();
    ExecutorService threads = Executors.newCachedThreadPool(task -> {
      Thread thread = new Thread(task);
      thread.setDaemon(true);
      return thread;
    });
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = in.readLine()) != null; ) {
      JsonNode request = json.readTree(line);
      threads.execute(() -> answer(request));
    }
    System.exit(0); // so that a recording JVM dumps its class archive
  }

  static void answer(JsonNode request) {
    Map<String, Object> message = new HashMap<>();
    message.put("id", request.get("id").asInt());
    try {
      message.put("result", operations.get(request.get("op").asText()).run(request.get("args")));
    } catch (Throwable failure) {
      Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
      int code = codeOf(cause);
      message.put("error", Map.of("code", code, "message", String.valueOf(cause)));
    }
    try {
      byte[] line = (json.writeValueAsString(message) + "\n").getBytes(StandardCharsets.UTF_8);
      synchronized (answers) {
        answers.write(line);
        answers.flush();
      }
    } catch (Exception impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Of the first exception on the way to its root that the protocol has a code for. */
  static int codeOf(Throwable failure) {
    int code = Errors.UNKNOWN_SERVER_ERROR.code();
    for (Throwable cause = failure; cause != null && code == Errors.UNKNOWN_SERVER_ERROR.code(); cause = cause.getCause())
      code = Errors.forException(cause).code();
    return code;
  }

  static synchronized Admin admin() {
    if (admin == null) admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    return admin;
  }

  static void define() {
    Transactions.define(operations);
    ShareMembers.define(operations);
    Apps.define(operations);
    operations.put("tool", Tools::run);
    operations.put("cluster", args -> {
      DescribeClusterResult cluster = admin().describeCluster();
      List<Object> brokers = new ArrayList<>();
      for (var node : cluster.nodes().get()) brokers.add(Map.of("id", node.id(), "host", node.host(), "port", node.port()));
      return Map.of("clusterId", cluster.clusterId().get(), "controllerId", cluster.controller().get().id(), "brokers", brokers);
    });
    operations.put("createTopic", args -> {
      Map<String, String> configs = new HashMap<>();
      if (args.has("configs")) args.get("configs").properties().forEach(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
      NewTopic topic = new NewTopic(topic(args), args.get("partitions").asInt(), (short) 1).configs(configs);
      return admin().createTopics(List.of(topic)).all().get();
    });
    operations.put("deleteTopic", args -> admin().deleteTopics(List.of(topic(args))).all().get());
    operations.put("topics", args -> new TreeSet<>(admin().listTopics().names().get()));
    operations.put("partitions", args -> admin().describeTopics(List.of(topic(args))).allTopicNames().get().get(topic(args)).partitions().size());
    operations.put("addPartitions", args ->
      admin().createPartitions(Map.of(topic(args), NewPartitions.increaseTo(args.get("total").asInt()))).all().get());
    operations.put("topicConfig", args -> {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic(args));
      ConfigEntry entry = admin().describeConfigs(List.of(resource)).all().get().get(resource).get(args.get("name").asText());
      return Map.of("value", entry.value(), "isDefault", entry.source() != ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
    });
    operations.put("setTopicConfig", args -> {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic(args));
      ConfigEntry entry = new ConfigEntry(args.get("name").asText(), args.get("value").asText());
      return admin().incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
    });
    operations.put("offsets", args -> {
      int count = admin().describeTopics(List.of(topic(args))).allTopicNames().get().get(topic(args)).partitions().size();
      return Map.of("earliest", offsets(args, count, OffsetSpec.earliest()), "latest", offsets(args, count, OffsetSpec.latest()));
    });
    operations.put("deleteRecords", args -> {
      admin().deleteRecords(Map.of(place(args), RecordsToDelete.beforeOffset(args.get("before").asLong()))).all().get();
      return null;
    });
    operations.put("produce", JavaClient::produce);
    operations.put("transaction", JavaClient::transaction);
    operations.put("read", JavaClient::read);
    operations.put("readAll", JavaClient::readAll);
    operations.put("values", JavaClient::values);
    operations.put("join", args -> members.put(args.get("member").asText(), new Member(args)) == null);
    operations.put("assignment", args -> member(args).assignment());
    operations.put("poll", args -> member(args).take(args.get("count").asInt(), args.path("timeoutMs").asLong(60000)));
    operations.put("commit", args -> member(args).commit());
    operations.put("leave", args -> members.remove(args.get("member").asText()).leave(args.path("how").asText("DEFAULT")));
    operations.put("events", args -> member(args).takeEvents());
    operations.put("membership", args -> member(args).membership());
    operations.put("committed", args -> {
      OffsetAndMetadata found = admin().listConsumerGroupOffsets(group(args)).partitionsToOffsetAndMetadata().get().get(place(args));
      return found == null ? null : found.offset();
    });
    operations.put("setGroupOffset", args ->
      admin().alterConsumerGroupOffsets(group(args), Map.of(place(args), new OffsetAndMetadata(args.get("offset").asLong()))).all().get());
    operations.put("groups", args -> {
      Set<String> names = new TreeSet<>();
      for (GroupListing listing : admin().listGroups().all().get()) names.add(listing.groupId());
      return names;
    });
    operations.put("groupType", args -> {
      for (GroupListing listing : admin().listGroups().all().get())
        if (listing.groupId().equals(args.get("group").asText()))
          return Map.of("type", listing.type().map(Object::toString).orElse(""), "protocol", listing.protocol(), "state", listing.groupState().map(Object::toString).orElse(""));
      return null;
    });
    operations.put("setGroupConfig", args -> {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group(args));
      ConfigEntry entry = new ConfigEntry(args.get("name").asText(), args.get("value").asText());
      return admin().incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
    });
    operations.put("describeGroup", args -> {
      ConsumerGroupDescription found = admin().describeConsumerGroups(List.of(group(args))).all().get().get(group(args));
      return Map.of("state", found.groupState().toString(), "members", found.members().size());
    });
    operations.put("deleteGroup", args -> admin().deleteConsumerGroups(List.of(group(args))).all().get());
  }

  static List<Long> offsets(JsonNode args, int count, OffsetSpec spec) throws Exception {
    List<Long> found = new ArrayList<>();
    Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
    for (int i = 0; i < count; i++) asked.put(new TopicPartition(topic(args), i), spec);
    ListOffsetsResult result = admin().listOffsets(asked);
    for (int i = 0; i < count; i++) found.add(result.partitionResult(new TopicPartition(topic(args), i)).get().offset());
    return found;
  }

  static Object produce(JsonNode args) throws Exception {
    Map<String, Object> configs = new HashMap<>();
    configs.put("bootstrap.servers", bootstrap);
    configs.put("compression.type", args.path("codec").asText("none"));
    configs.put("acks", args.path("acks").asText("all"));
    configs.put("enable.idempotence", args.path("idempotent").asBoolean(false));
    configs.put("linger.ms", 20);
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (var producer = new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer())) {
      for (JsonNode record : args.get("records")) {
        List<org.apache.kafka.common.header.Header> headers = new ArrayList<>();
        for (JsonNode header : record.path("headers")) headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
        Integer partition = record.has("partition") ? record.get("partition").asInt() : null;
        Long timestamp = record.has("timestamp") ? record.get("timestamp").asLong() : null;
        sent.add(producer.send(new ProducerRecord<>(topic(args), partition, timestamp, string(record.get("key")), string(record.get("value")), headers)));
      }
    }
    for (Future<RecordMetadata> answer : sent) answer.get();
    return null;
  }

  static final Map<String, KafkaProducer<String, String>> transactional = new ConcurrentHashMap<>();

  /** One transaction, with the offsets that a group commits in it; its end is "commit", "abort", or "none" to leave it open. */
  static Object transaction(JsonNode args) throws Exception {
    KafkaProducer<String, String> producer = transactional.get(args.get("transactionalId").asText());
    if (producer == null) {
      Map<String, Object> configs = new HashMap<>();
      configs.put("bootstrap.servers", bootstrap);
      configs.put("transactional.id", args.get("transactionalId").asText());
      configs.put("transaction.timeout.ms", 900000);
      producer = new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer());
      transactional.put(args.get("transactionalId").asText(), producer);
      producer.initTransactions();
    }
    producer.beginTransaction();
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode record : args.get("records"))
      sent.add(producer.send(new ProducerRecord<>(topic(record), record.get("partition").asInt(), string(record.get("key")), string(record.get("value")))));
    for (Future<RecordMetadata> answer : sent) answer.get();
    if (args.has("group")) {
      Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
      for (JsonNode offset : args.get("offsets")) offsets.put(place(offset), new OffsetAndMetadata(offset.get("offset").asLong(), "in a transaction"));
      producer.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(group(args)));
    }
    switch (args.get("end").asText()) {
      case "commit" -> producer.commitTransaction();
      case "abort" -> producer.abortTransaction();
      default -> {}
    }
    return null;
  }

  /** Every record up to where the log ends for that isolation level, a line for each, with long values told by their hash. */
  static Object readAll(JsonNode args) {
    Map<String, Object> configs = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "isolation.level", args.get("isolation").asText());
    try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
      TopicPartition place = place(args);
      consumer.assign(List.of(place));
      consumer.seekToBeginning(List.of(place));
      long end = consumer.endOffsets(List.of(place)).get(place);
      List<String> found = new ArrayList<>();
      while (consumer.position(place) < end) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          String value = record.value() == null || record.value().length() < 60 ? record.value() : "#" + record.value().hashCode();
          found.add(record.offset() + " " + record.timestampType() + " " + record.timestamp() + " " + record.key() + "=" + value + " " + record.headers());
        }
      }
      return found;
    }
  }

  /** The values up to where each partition ends for that isolation level, in their order. */
  static Object values(JsonNode args) {
    Map<String, Object> configs = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "isolation.level", args.get("isolation").asText());
    try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
      List<TopicPartition> places = new ArrayList<>();
      consumer.partitionsFor(topic(args)).forEach(info -> places.add(new TopicPartition(topic(args), info.partition())));
      places.sort(Comparator.comparing(TopicPartition::partition));
      Map<TopicPartition, List<String>> found = new LinkedHashMap<>();
      places.forEach(place -> found.put(place, new ArrayList<>()));
      consumer.assign(places);
      consumer.seekToBeginning(places);
      Map<TopicPartition, Long> ends = consumer.endOffsets(places);
      while (places.stream().anyMatch(place -> consumer.position(place) < ends.get(place)))
        for (var record : consumer.poll(Duration.ofMillis(200)))
          found.get(new TopicPartition(record.topic(), record.partition())).add(record.value());
      return found.values();
    }
  }

  static Object read(JsonNode args) {
    Map<String, Object> configs = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
      TopicPartition place = place(args);
      JsonNode start = args.get("start");
      consumer.assign(List.of(place));
      if (start.isTextual()) consumer.seekToBeginning(List.of(place));
      else if (start.isObject()) consumer.seek(place, consumer.offsetsForTimes(Map.of(place, start.get("timestamp").asLong())).get(place).offset());
      else consumer.seek(place, start.asLong());
      List<Object> found = new ArrayList<>();
      long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
      while (found.size() < args.get("count").asInt() && System.nanoTime() < deadline) {
        for (var record : consumer.poll(Duration.ofMillis(200))) if (found.size() < args.get("count").asInt()) found.add(plain(record));
      }
      return found;
    }
  }

  static Map<String, Object> plain(ConsumerRecord<String, String> record) {
    List<Object> headers = new ArrayList<>();
    for (var header : record.headers()) {
      String value = header.value() == null ? null : new String(header.value(), StandardCharsets.UTF_8);
      headers.add(Arrays.asList(header.key(), value));
    }
    Map<String, Object> plain = new HashMap<>();
    plain.put("partition", record.partition());
    plain.put("offset", record.offset());
    plain.put("timestamp", record.timestamp());
    plain.put("key", record.key());
    plain.put("value", record.value());
    plain.put("headers", headers);
    return plain;
  }

  static String topic(JsonNode args) { return args.get("topic").asText(); }
  static String group(JsonNode args) { return args.get("group").asText(); }
  static TopicPartition place(JsonNode args) { return new TopicPartition(topic(args), args.get("partition").asInt()); }
  static Member member(JsonNode args) { return members.get(args.get("member").asText()); }
  static String string(JsonNode node) { return node == null || node.isNull() ? null : node.asText(); }
  static byte[] bytes(JsonNode node) { return node == null || node.isNull() ? null : node.asText().getBytes(StandardCharsets.UTF_8); }

  /** A member of a group of consumers under either protocol, polled by a thread of its own. */
  static class Member {
    static final Map<String, String> assignors = Map.of(
      "range", "RangeAssignor", "roundrobin", "RoundRobinAssignor", "sticky", "StickyAssignor", "cooperative-sticky", "CooperativeStickyAssignor");

    final KafkaConsumer<String, String> consumer;
    final List<Object> records = new ArrayList<>();
    final List<String> events = new ArrayList<>();
    final Queue<FutureTask<?>> wishes = new ConcurrentLinkedQueue<>();
    final Thread thread;
    volatile Set<TopicPartition> assigned = Set.of();
    volatile CloseOptions farewell;
    Throwable failure;

    Member(JsonNode args) {
      Map<String, Object> configs = new HashMap<>();
      configs.put("bootstrap.servers", bootstrap);
      configs.put("group.id", group(args));
      configs.put("client.id", args.path("clientId").asText("java"));
      configs.put("enable.auto.commit", false);
      configs.put("auto.offset.reset", "earliest");
      configs.put("group.protocol", args.path("protocol").asText("classic"));
      if (configs.get("group.protocol").equals("classic")) {
        List<String> classes = new ArrayList<>();
        for (String name : args.path("assignor").asText("range").split(",")) classes.add("org.apache.kafka.clients.consumer." + assignors.get(name));
        configs.put("partition.assignment.strategy", classes);
        configs.put("session.timeout.ms", 10000);
        configs.put("heartbeat.interval.ms", 500);
      } else if (args.has("assignor")) configs.put("group.remote.assignor", args.get("assignor").asText());
      if (args.has("instanceId")) configs.put("group.instance.id", args.get("instanceId").asText());
      args.path("configs").properties().forEach(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
      consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer());
      ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) { note("assigned", partitions); }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) { note("revoked", partitions); }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) { note("lost", partitions); }
      };
      List<String> topics = new ArrayList<>();
      args.path("topics").forEach(topic -> topics.add(topic.asText()));
      if (args.has("pattern")) consumer.subscribe(new SubscriptionPattern(args.get("pattern").asText()), listener);
      else consumer.subscribe(topics, listener);
      thread = new Thread(this::poll);
      thread.setDaemon(true);
      thread.start();
    }

    void poll() {
      try {
        while (farewell == null) {
          var polled = consumer.poll(Duration.ofMillis(100));
          assigned = Set.copyOf(consumer.assignment());
          synchronized (this) {
            for (var record : polled) records.add(plain(record));
            notifyAll();
          }
          for (FutureTask<?> wish; (wish = wishes.poll()) != null; wish.run());
        }
      } catch (Throwable thrown) {
        synchronized (this) {
          failure = thrown;
          notifyAll();
        }
      } finally {
        consumer.close(farewell == null ? CloseOptions.timeout(Duration.ofSeconds(30)) : farewell);
      }
    }

    /** What was given and taken, empty changes left out. */
    synchronized void note(String what, Collection<TopicPartition> partitions) {
      if (partitions.isEmpty()) return;
      TreeSet<String> names = new TreeSet<>();
      partitions.forEach(partition -> names.add(partition.toString()));
      events.add(what + " " + String.join(" ", names));
    }

    synchronized Object takeEvents() {
      List<String> taken = List.copyOf(events);
      events.clear();
      return taken;
    }

    synchronized Object take(int count, long timeoutMs) throws Exception {
      long deadline = System.currentTimeMillis() + timeoutMs;
      while (records.size() < count && failure == null && System.currentTimeMillis() < deadline) wait(50);
      throwFailure();
      List<Object> head = records.subList(0, Math.min(count, records.size()));
      List<Object> taken = new ArrayList<>(head);
      head.clear();
      return taken;
    }

    synchronized void throwFailure() throws ExecutionException {
      if (failure != null) throw new ExecutionException(failure);
    }

    /** Done by the thread that polls, the only one that may touch the consumer. */
    <T> T ask(Callable<T> wish) throws Exception {
      throwFailure();
      FutureTask<T> task = new FutureTask<>(wish);
      wishes.add(task);
      return task.get(60, TimeUnit.SECONDS);
    }

    Object commit() throws Exception {
      return ask(() -> {
        consumer.commitSync();
        return null;
      });
    }

    /** memberId, and the generation or the member epoch. */
    Object membership() throws Exception {
      ConsumerGroupMetadata metadata = ask(consumer::groupMetadata);
      return Map.of("memberId", metadata.memberId(), "generation", metadata.generationId());
    }

    Object assignment() throws Exception {
      throwFailure();
      List<Object> found = new ArrayList<>();
      assigned.stream().sorted(Comparator.comparing(TopicPartition::toString)).forEach(p -> found.add(List.of(p.topic(), p.partition())));
      return found;
    }

    /** How: DEFAULT (a static member of a classic group stays), LEAVE_GROUP or REMAIN_IN_GROUP. */
    Object leave(String how) throws Exception {
      farewell = CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.valueOf(how));
      thread.join(60000);
      return null;
    }
  }

  /** Runs the main class of a tool here, one at a time, with its output caught and its exit turned into a status. */
  static class Tools {
    static class Exited extends Error {
      Exited() { super("", null, false, false); }

      @Override
      public String toString() { return ""; } // some tools print whatever they catch
    }

    static synchronized Object run(JsonNode args) throws Exception {
      String[] argv = new String[args.get("args").size()];
      for (int i = 0; i < argv.length; i++) argv[i] = args.get("args").get(i).asText();
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      ByteArrayOutputStream err = new ByteArrayOutputStream();
      int[] status = {-1};
      List<Runnable> hooks = new ArrayList<>();
      Exit.Procedure exit = (code, message) -> {
        if (status[0] == -1) status[0] = code;
        throw new Exited();
      };
      Exit.setExitProcedure(exit);
      Exit.setHaltProcedure(exit);
      Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
      PrintStream oldErr = System.err;
      InputStream oldIn = System.in;
      System.setIn(new ByteArrayInputStream(args.path("stdin").asText("").getBytes(StandardCharsets.UTF_8)));
      System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
      try {
        Class<?> tool = new ToolLoader().loadClass(args.get("class").asText());
        Thread.currentThread().setContextClassLoader(tool.getClassLoader());
        tool.getMethod("main", String[].class).invoke(null, (Object) argv);
        if (status[0] == -1) status[0] = 0;
      } catch (java.lang.reflect.InvocationTargetException thrown) {
        if (status[0] == -1) {
          thrown.getCause().printStackTrace();
          status[0] = 1;
        }
      } finally {
        for (Runnable hook : hooks) {
          try {
            hook.run();
          } catch (Exited ignored) {
            // a hook may exit too
          }
        }
        System.setIn(oldIn);
        System.setErr(oldErr);
        System.setOut(oldErr);
        Exit.resetExitProcedure();
        Exit.resetHaltProcedure();
        Exit.resetShutdownHookAdder();
      }
      return Map.of("status", status[0], "stdout", out.toString(StandardCharsets.UTF_8), "stderr", err.toString(StandardCharsets.UTF_8));
    }

    /** The tools' own classes anew for each run, as they count in static fields; all else is shared. */
    static class ToolLoader extends URLClassLoader {
      ToolLoader() {
        super(urls(), JavaClient.class.getClassLoader());
      }

      static URL[] urls() {
        List<URL> urls = new ArrayList<>();
        for (String path : System.getProperty("java.class.path").split(java.io.File.pathSeparator)) {
          if (!path.contains("kafka-tools-")) continue;
          try {
            urls.add(new java.io.File(path).toURI().toURL());
          } catch (java.net.MalformedURLException impossible) {
            throw new IllegalStateException(impossible);
          }
        }
        return urls.toArray(new URL[0]);
      }

      @Override
      protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        if (!name.startsWith("org.apache.kafka.tools.") || name.startsWith("org.apache.kafka.tools.api.")) return super.loadClass(name, resolve);
        synchronized (getClassLoadingLock(name)) {
          Class<?> found = findLoadedClass(name);
          return found != null ? found : findClass(name);
        }
      }
    }
  }
}
