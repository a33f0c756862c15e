import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.FileWriter;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The load of load-settings.ts by Kafka's Java client. */
public class ClusterLoad {
  static JsonNode settings;
  static BufferedWriter outcomes;
  static volatile boolean isOver = false;

  public static void main(String[] argv) throws Exception {
    settings = new ObjectMapper().readTree(argv[0]);
    outcomes = new BufferedWriter(new FileWriter(settings.get("outcomes").asText()), 1 << 16);
    List<Thread> threads = new ArrayList<>();
    threads.add(new Thread(ClusterLoad::plainStreams));
    for (JsonNode writer : settings.get("transactional").get("writers")) threads.add(new Thread(() -> transactions(writer.asInt())));
    if (!settings.get("group").isNull()) threads.add(new Thread(() -> member(settings.get("group").asText())));
    for (Thread thread : threads) thread.start();
    System.out.println("ready");
    System.in.read();
    isOver = true;
    for (Thread thread : threads) thread.join();
    synchronized (outcomes) {
      outcomes.close();
    }
    System.exit(0);
  }

  static void note(String line) {
    try {
      synchronized (outcomes) {
        outcomes.write(line);
        outcomes.write('\n');
      }
    } catch (Exception impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static KafkaProducer<String, String> producer(Map<String, Object> more) {
    Map<String, Object> configs = new HashMap<>(more);
    configs.put("bootstrap.servers", settings.get("bootstrap").asText());
    configs.put("acks", "all");
    configs.put("enable.idempotence", true);
    configs.put("linger.ms", 5);
    configs.put("request.timeout.ms", 10_000);
    configs.put("max.block.ms", 900_000);
    configs.put("reconnect.backoff.max.ms", 500);
    return new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer());
  }

  static String value(String start) {
    StringBuilder text = new StringBuilder(start);
    for (int length = settings.get("valueBytes").asInt(); text.length() < length; ) text.append('x');
    return text.toString();
  }

  static void pause(double ms) {
    try {
      if (ms > 0) Thread.sleep((long) ms);
    } catch (InterruptedException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static String oneLine(Throwable error) {
    return String.valueOf(error).replace('\n', ' ');
  }

  static void plainStreams() {
    JsonNode plain = settings.get("plain");
    int count = plain.get("streams").size();
    if (count == 0) return;
    String topic = plain.get("topic").asText();
    int partitions = plain.get("partitions").asInt();
    double rate = plain.get("recordsPerSecond").asDouble();
    int[] streams = new int[count];
    int[] sent = new int[count];
    for (int i = 0; i < count; i++) streams[i] = plain.get("streams").get(i).asInt();
    AtomicInteger inFlight = new AtomicInteger();
    try (var producer = producer(Map.of("delivery.timeout.ms", 900_000))) {
      double allowance = 0;
      long last = System.nanoTime();
      int turn = 0;
      while (!isOver) {
        long now = System.nanoTime();
        allowance = Math.min(allowance + (now - last) / 1e9 * rate, rate * 5);
        last = now;
        for (int burst = 0; allowance >= 1 && inFlight.get() < 20_000 && burst < rate / 20; allowance--, burst++) {
          int index = turn++ % count;
          int stream = streams[index];
          int number = sent[index]++;
          inFlight.incrementAndGet();
          producer.send(new ProducerRecord<>(topic, stream % partitions, null, value(stream + ":" + number + ":")), (told, failure) -> {
            inFlight.decrementAndGet();
            if (failure == null) note("a " + stream + " " + number + " " + told.offset());
            else note("f " + stream + " " + number + " " + oneLine(failure));
          });
        }
        pause(5);
      }
      producer.flush();
    }
    for (int i = 0; i < count; i++) note("s " + streams[i] + " " + sent[i]);
  }

  static void transactions(int writer) {
    JsonNode all = settings.get("transactional");
    String topic = all.get("topic").asText();
    int partitions = all.get("partitions").asInt();
    int atMost = all.get("recordsAtMost").asInt();
    double everyMs = atMost / 2.0 * 1000 * all.get("writers").size() / all.get("recordsPerSecond").asDouble();
    Random random = new Random(settings.get("seed").asLong() * 1000 + writer);
    Map<String, Object> configs = Map.of("transactional.id", "cluster-" + writer, "transaction.timeout.ms", 60_000, "delivery.timeout.ms", 60_000);
    KafkaProducer<String, String> producer = producer(configs);
    boolean isInitialized = false;
    int next = 0;
    double due = System.nanoTime() / 1e6;
    while (!isOver) {
      if (!isInitialized) {
        try {
          producer.initTransactions();
          isInitialized = true;
        } catch (Exception failure) {
          note("n writer " + writer + " init: " + oneLine(failure));
          producer.close(java.time.Duration.ZERO);
          producer = producer(configs);
          pause(200);
          continue;
        }
      }
      int transaction = next++;
      int count = 1 + random.nextInt(atMost);
      int first = random.nextInt(partitions);
      int width = 1 + random.nextInt(Math.min(3, partitions));
      boolean isAborted = random.nextDouble() < 0.1;
      boolean commitAsked = false;
      try {
        producer.beginTransaction();
        List<Future<RecordMetadata>> sends = new ArrayList<>();
        for (int index = 0; index < count; index++)
          sends.add(producer.send(new ProducerRecord<>(topic, (first + index % width) % partitions, null, value(writer + ":" + transaction + ":" + index + ":"))));
        for (Future<RecordMetadata> send : sends) send.get();
        if (isAborted) {
          producer.abortTransaction();
          note("t " + writer + " " + transaction + " aborted " + count);
        } else {
          commitAsked = true;
          producer.commitTransaction();
          note("t " + writer + " " + transaction + " committed " + count);
        }
      } catch (Exception failure) {
        note("n writer " + writer + " transaction " + transaction + (commitAsked ? " (commit): " : ": ") + oneLine(failure));
        note("t " + writer + " " + transaction + " " + (commitAsked ? "unknown " : "aborted ") + count);
        boolean goesOn = false;
        if (!commitAsked) {
          try {
            producer.abortTransaction();
            goesOn = true;
          } catch (Exception fatal) {
            note("n writer " + writer + " abort: " + oneLine(fatal));
          }
        }
        if (!goesOn) {
          producer.close(java.time.Duration.ZERO);
          producer = producer(configs);
          isInitialized = false;
        }
      }
      double now = System.nanoTime() / 1e6;
      due = Math.max(due + everyMs, now - 5000);
      pause(due - now);
    }
    producer.close();
  }

  static void member(String group) {
    Map<String, Object> configs = new HashMap<>();
    configs.put("bootstrap.servers", settings.get("bootstrap").asText());
    configs.put("group.id", group);
    configs.put("group.protocol", "consumer");
    configs.put("auto.offset.reset", "earliest");
    configs.put("enable.auto.commit", false);
    configs.put("reconnect.backoff.max.ms", 500);
    try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
      consumer.subscribe(List.of(settings.get("plain").get("topic").asText()));
      while (!isOver) {
        try {
          Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
          var records = consumer.poll(java.time.Duration.ofMillis(200));
          for (TopicPartition partition : records.partitions()) {
            var of = records.records(partition);
            long end = of.get(of.size() - 1).offset() + 1;
            note("g " + group + " " + partition.partition() + " " + of.get(0).offset() + " " + end + " " + of.size());
            ends.put(partition, new OffsetAndMetadata(end));
          }
          if (ends.isEmpty()) continue;
          consumer.commitSync(ends);
          ends.forEach((partition, end) -> note("c " + group + " " + partition.partition() + " " + end.offset()));
        } catch (Exception failure) {
          note("n group " + group + ": " + oneLine(failure));
          pause(100);
        }
      }
    }
  }
}
