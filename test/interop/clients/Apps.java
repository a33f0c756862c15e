import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.Stores;

/** Programs as a user would write them, which run by themselves until they are stopped, or their process is killed. */
class Apps {
  static final Map<String, Loop> loops = new ConcurrentHashMap<>();
  static final Map<String, KafkaStreams> streams = new ConcurrentHashMap<>();

  static void define(Map<String, JavaClient.Operation> operations) {
    operations.put("startLoop", args -> loops.put(args.get("app").asText(), new Loop(args)) == null);
    operations.put("loop", args -> loops.get(args.get("app").asText()).state());
    operations.put("stopLoop", args -> loops.remove(args.get("app").asText()).stop());
    operations.put("startStreams", Apps::startStreams);
    operations.put("streamsState", args -> streams.get(args.get("app").asText()).state().toString());
    operations.put("streamsTasks", args -> {
      Map<String, Object> tasks = new TreeMap<>();
      TreeSet<String> active = new TreeSet<>();
      TreeSet<String> standby = new TreeSet<>();
      for (ThreadMetadata thread : streams.get(args.get("app").asText()).metadataForLocalThreads()) {
        thread.activeTasks().forEach(task -> active.add(task.taskId().toString()));
        thread.standbyTasks().forEach(task -> standby.add(task.taskId().toString()));
      }
      tasks.put("active", active);
      tasks.put("standby", standby);
      return tasks;
    });
    operations.put("stopStreams", args -> streams.remove(args.get("app").asText()).close(
      CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.valueOf(args.path("how").asText("LEAVE_GROUP")))
        .withTimeout(Duration.ofSeconds(60))));
  }

  /** Counts the words of lines. Caches hold nothing back: each word gives a new count. */
  static Object startStreams(JsonNode args) {
    Properties configs = new Properties();
    configs.put("bootstrap.servers", JavaClient.bootstrap);
    configs.put("application.id", args.get("application").asText());
    configs.put("client.id", args.get("app").asText());
    configs.put("group.protocol", args.get("protocol").asText());
    configs.put("processing.guarantee", args.get("guarantee").asText());
    configs.put("state.dir", args.get("directory").asText());
    configs.put("num.stream.threads", args.path("threads").asInt(1));
    configs.put("num.standby.replicas", args.path("standbys").asInt(0));
    configs.put("commit.interval.ms", 100);
    configs.put("statestore.cache.max.bytes", 0);
    configs.put("default.key.serde", Serdes.StringSerde.class);
    configs.put("default.value.serde", Serdes.StringSerde.class);
    configs.put("consumer.auto.offset.reset", "earliest");
    args.path("configs").properties().forEach(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(args.get("in").asText())
      .flatMapValues(line -> Arrays.asList(line.split(" ")))
      .groupBy((key, word) -> word, Grouped.as("words"))
      .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts")).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
      .toStream()
      .map((word, count) -> KeyValue.pair(word, word + " " + count))
      .to(args.get("out").asText());
    var app = new KafkaStreams(builder.build(configs), configs);
    streams.put(args.get("app").asText(), app);
    app.start();
    return null;
  }

  /**
   * Takes records, writes each with a mark to the same partition of another topic, and commits what it took, all in one
   * transaction; now and then it aborts one and does it again. It ends by itself when it is told to be a zombie.
   */
  static class Loop {
    final JsonNode args;
    final Random random;
    final Thread thread;
    volatile boolean stopping;
    volatile int committed;
    volatile int aborted;
    volatile String ended;

    Loop(JsonNode args) {
      this.args = args;
      random = new Random(args.get("seed").asLong());
      thread = new Thread(this::run);
      thread.setDaemon(true);
      thread.start();
    }

    Object state() {
      Map<String, Object> state = new HashMap<>();
      state.put("committed", committed);
      state.put("aborted", aborted);
      state.put("ended", ended);
      return state;
    }

    Object stop() throws Exception {
      stopping = true;
      thread.join(60000);
      return state();
    }

    void run() {
      Map<String, Object> taking = new HashMap<>();
      taking.put("bootstrap.servers", JavaClient.bootstrap);
      taking.put("group.id", args.get("group").asText());
      taking.put("group.protocol", args.get("protocol").asText());
      taking.put("isolation.level", "read_committed");
      taking.put("enable.auto.commit", false);
      taking.put("auto.offset.reset", "earliest");
      taking.put("max.poll.records", 10);
      if (args.get("protocol").asText().equals("classic")) {
        taking.put("session.timeout.ms", 3000);
        taking.put("heartbeat.interval.ms", 200);
      }
      if (args.has("instanceId")) taking.put("group.instance.id", args.get("instanceId").asText());
      Map<String, Object> giving = Map.of("bootstrap.servers", JavaClient.bootstrap, "transactional.id", args.get("transactionalId").asText(),
        "transaction.timeout.ms", 10000);
      var consumer = new KafkaConsumer<>(taking, new StringDeserializer(), new StringDeserializer());
      var producer = new KafkaProducer<>(giving, new StringSerializer(), new StringSerializer());
      try {
        producer.initTransactions();
        consumer.subscribe(List.of(args.get("in").asText()));
        while (!stopping) {
          var records = consumer.poll(Duration.ofMillis(100));
          if (records.isEmpty()) continue;
          producer.beginTransaction();
          try {
            for (var record : records)
              producer.send(new ProducerRecord<>(args.get("out").asText(), record.partition(), record.key(), record.value() + "!"));
            producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
            if (random.nextInt(5) == 0) throw new CommitFailedException("on a whim");
            producer.commitTransaction();
            committed += records.count();
          } catch (CommitFailedException | org.apache.kafka.common.errors.TimeoutException failure) {
            producer.abortTransaction();
            aborted++;
            try {
              rewind(consumer);
            } catch (org.apache.kafka.common.KafkaException lost) { // it was missed for too long: it begins anew
              consumer.unsubscribe();
              consumer.subscribe(List.of(args.get("in").asText()));
            }
          }
        }
        ended = "stopped";
      } catch (Throwable failure) {
        ended = failure.toString();
      } finally {
        consumer.close();
        producer.close(Duration.ofSeconds(5));
      }
    }

    static void rewind(KafkaConsumer<String, String> consumer) {
      Map<TopicPartition, OffsetAndMetadata> positions = consumer.committed(consumer.assignment());
      for (TopicPartition place : consumer.assignment()) {
        if (positions.get(place) == null) consumer.seekToBeginning(List.of(place));
        else consumer.seek(place, positions.get(place));
      }
    }
  }
}
