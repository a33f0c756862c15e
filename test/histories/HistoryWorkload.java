import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.*;

/**
 * Clients that use transactions at random, and write down what they did and saw as history.ts defines it, an event a line. The
 * argument is a JSON object: see workload.ts. They say {"type":"ready"} as they begin, {"type":"quiet"} when their time is over, and on a
 * line of input read everything that there is, say {"type":"done"} and end. A seed fixes what each client decides, not how the clients interleave.
 */
public class HistoryWorkload {
  static final ObjectMapper json = new ObjectMapper();
  static final PrintStream history = System.out;
  static JsonNode settings;
  static String bootstrap;
  static volatile long overAt;
  static final String source = "source";
  static final List<TopicPartition> sources = new ArrayList<>();
  static final List<TopicPartition> everything = new ArrayList<>();
  static final List<String> groups = new ArrayList<>();
  /** Ids whose transactions may be open when everything is over. */
  static final Set<String> ids = ConcurrentHashMap.newKeySet();
  static final ScheduledExecutorService later = Executors.newScheduledThreadPool(8, task -> {
    Thread thread = new Thread(task);
    thread.setDaemon(true);
    return thread;
  });
  static final Set<Future<?>> undead = ConcurrentHashMap.newKeySet();

  public static void main(String[] argv) throws Exception {
    settings = json.readTree(argv[0]);
    bootstrap = settings.get("bootstrap").asText();
    System.setOut(System.err);
    createTopics();
    createCoordinators();
    write(new Event("ready"));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    if (settings.has("seconds")) overAt = System.nanoTime() + settings.get("seconds").asLong() * 1_000_000_000L;
    else {
      overAt = Long.MAX_VALUE;
      later.submit(() -> {
        in.readLine();
        overAt = System.nanoTime();
        return null;
      });
    }
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < settings.get("writers").asInt(); i++) threads.add(new Thread(new Writer("writer-" + i, random(i))));
    for (String protocol : protocols())
      for (int i = 0; i < 2; i++)
        threads.add(new Thread(new Transformer("transformer-" + protocol + "-" + i, protocol, random(100 + threads.size()))));
    threads.add(new Thread(new PlainProducer("plain", random(200))));
    threads.add(new Thread(new Reader("reader-committed", "read_committed", null, random(300))));
    threads.add(new Thread(new Reader("reader-uncommitted", "read_uncommitted", null, random(301))));
    for (String protocol : protocols())
      for (int i = 0; i < 2; i++)
        threads.add(new Thread(new Reader("subscriber-" + protocol + "-" + i, "read_committed", protocol, random(310 + threads.size()))));
    for (Thread thread : threads) thread.start();
    for (Thread thread : threads) thread.join();
    write(new Event("quiet"));
    in.readLine();
    for (Future<?> one : undead) one.get();
    new Last().read();
    write(new Event("done"));
    System.exit(0);
  }

  static Random random(long of) {
    return new Random(settings.get("seed").asLong() * 1_000_003 + of);
  }

  static List<String> protocols() {
    List<String> names = new ArrayList<>();
    for (JsonNode name : settings.get("protocols")) names.add(name.asText());
    return names;
  }

  static String outputOf(String protocol) {
    return "results-" + protocol;
  }

  static void createTopics() throws Exception {
    int partitions = settings.get("partitions").asInt();
    short replicas = (short) settings.get("replicas").asInt();
    List<NewTopic> topics = new ArrayList<>(List.of(new NewTopic(source, partitions, replicas)));
    for (String protocol : protocols()) {
      topics.add(new NewTopic(outputOf(protocol), partitions, replicas));
      groups.add("transformers-" + protocol);
    }
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(topics).all().get();
    }
    for (NewTopic topic : topics) {
      for (int i = 0; i < partitions; i++) {
        everything.add(new TopicPartition(topic.name(), i));
        if (topic.name().equals(source)) sources.add(new TopicPartition(source, i));
      }
    }
  }

  /** A node makes their topics when the first client asks for them, and the time for that is not the clients'. */
  static void createCoordinators() throws Exception {
    try (var producer = transactional("first"); Admin admin = Admin.create(shared())) {
      producer.initTransactions();
      admin.listConsumerGroupOffsets("first").all().get();
    }
  }

  static boolean isOver() {
    return System.nanoTime() >= overAt;
  }

  static double now() {
    return System.nanoTime() / 1000 / 1000.0;
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** A line of the history. */
  static class Event {
    final Map<String, Object> fields = new LinkedHashMap<>();

    Event(String type) {
      fields.put("type", type);
    }

    Event with(String name, Object value) {
      fields.put(name, value);
      return this;
    }
  }

  static void write(Event event) {
    try {
      byte[] line = (json.writeValueAsString(event.fields) + "\n").getBytes(StandardCharsets.UTF_8);
      synchronized (history) {
        history.write(line);
        history.flush();
      }
    } catch (Exception impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static void note(String process, String doing, Throwable failure) {
    Throwable cause = failure.getCause() == null ? failure : failure.getCause();
    String text = doing + ": " + failure.getClass().getSimpleName() + ": " + failure.getMessage() + (cause == failure ? "" : " (" + cause + ")");
    write(new Event("note").with("atMs", now()).with("process", process).with("text", text));
  }

  static Map<String, Object> shared(String... more) {
    Map<String, Object> configs = new HashMap<>();
    configs.put("bootstrap.servers", bootstrap);
    configs.put("request.timeout.ms", 5000);
    configs.put("reconnect.backoff.ms", 50);
    configs.put("reconnect.backoff.max.ms", 500);
    configs.put("retry.backoff.ms", 50);
    configs.put("retry.backoff.max.ms", 500);
    for (int i = 0; i < more.length; i += 2) configs.put(more[i], more[i + 1]);
    return configs;
  }

  static KafkaProducer<String, String> transactional(String id) {
    ids.add(id);
    Map<String, Object> configs = shared("transactional.id", id);
    configs.put("transaction.timeout.ms", settings.get("transactionTimeoutMs").asInt());
    configs.put("max.block.ms", 30_000);
    configs.put("delivery.timeout.ms", 20_000);
    return new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> consumer(String isolation, String group, String protocol) {
    Map<String, Object> configs = shared("auto.offset.reset", "earliest", "isolation.level", planted(isolation));
    configs.put("enable.auto.commit", false);
    configs.put("max.poll.records", 20);
    configs.put("fetch.max.wait.ms", 100);
    configs.put("default.api.timeout.ms", 10_000);
    if (group != null) {
      configs.put("group.id", group);
      configs.put("group.protocol", protocol);
      configs.put("max.poll.interval.ms", 5000);
      if (protocol.equals("classic")) {
        configs.put("session.timeout.ms", 4000);
        configs.put("heartbeat.interval.ms", 500);
      }
    }
    return new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer());
  }

  /** To see that the checks notice: readers that say read_committed and are not. */
  static String planted(String isolation) {
    return plant("read-uncommitted") ? "read_uncommitted" : isolation;
  }

  static boolean plant(String bug) {
    return settings.path("plant").asText("").equals(bug);
  }

  static String name(TopicPartition partition) {
    return partition.topic() + "-" + partition.partition();
  }

  static List<String> names(Collection<TopicPartition> partitions) {
    return partitions.stream().map(HistoryWorkload::name).sorted().toList();
  }

  static Map<String, Object> poll(KafkaConsumer<String, String> consumer, String isolation, long waitMs, List<ConsumerRecord<String, String>> into) {
    double began = now();
    List<Object> records = new ArrayList<>();
    for (var record : consumer.poll(Duration.ofMillis(waitMs))) {
      into.add(record);
      records.add(List.of(record.topic() + "-" + record.partition(), record.offset(), record.value()));
    }
    Map<String, Object> polled = new LinkedHashMap<>();
    polled.put("isolation", isolation);
    polled.put("beganMs", began);
    polled.put("endedMs", now());
    polled.put("records", records);
    return polled;
  }

  /** A transaction as it will stand in the history. */
  static class Transaction {
    final String process;
    final String id;
    final double began = now();
    final List<Object> steps = new ArrayList<>();
    final List<Future<RecordMetadata>> answers = new ArrayList<>();
    final List<Map<String, Object>> sends = new ArrayList<>();
    Double commitBegan;
    String outcome;

    Transaction(String process, String id) {
      this.process = process;
      this.id = id;
    }

    void send(KafkaProducer<String, String> producer, TopicPartition to, String value) {
      Map<String, Object> send = new LinkedHashMap<>();
      send.put("partition", name(to));
      send.put("value", value);
      send.put("offset", null);
      sends.add(send);
      steps.add(Map.of("send", send)); // before it is sent, for it may be sent and fail
      answers.add(producer.send(new ProducerRecord<>(to.topic(), to.partition(), null, value)));
    }

    void end(String outcome) {
      this.outcome = outcome;
      for (int i = 0; i < answers.size(); i++) {
        if (!answers.get(i).isDone()) continue;
        try {
          RecordMetadata told = answers.get(i).get();
          if (told.hasOffset()) sends.get(i).put("offset", told.offset());
        } catch (Exception failed) {
          // not acknowledged
        }
      }
      write(new Event("transaction").with("process", process).with("transactionalId", id).with("beganMs", began)
        .with("commitBeganMs", commitBegan).with("endedMs", now()).with("outcome", outcome).with("steps", steps));
    }
  }

  /** A client that has a transactional producer, one after the other. */
  static abstract class Transactor implements Runnable {
    final String name;
    final Random random;
    final AtomicInteger lives = new AtomicInteger();
    final AtomicLong sent = new AtomicLong();
    String id;
    String process;
    KafkaProducer<String, String> producer;

    Transactor(String name, Random random) {
      this.name = name;
      this.random = random;
    }

    /** A producer that has fenced its predecessor. */
    boolean open(String id) {
      this.id = id;
      process = name + "#" + lives.incrementAndGet();
      producer = transactional(id);
      double began = now();
      for (int attempts = 0; ; attempts++) {
        try {
          producer.initTransactions();
          write(new Event("initialized").with("process", process).with("transactionalId", id).with("beganMs", began).with("endedMs", now()));
          return true;
        } catch (TimeoutException slow) {
          if (attempts < 3) continue;
          note(process, "initTransactions", slow);
        } catch (Exception failure) {
          note(process, "initTransactions", failure);
        }
        drop();
        pause(100);
        return false;
      }
    }

    /** Without another word to the broker. */
    void drop() {
      if (producer != null) producer.close(Duration.ZERO);
      producer = null;
    }

    String value() {
      return process + "." + sent.incrementAndGet();
    }

    /** True when the producer can go on, and the transaction took effect or has not. */
    boolean commit(Transaction transaction) {
      transaction.commitBegan = now();
      return commit(producer, transaction, () -> drop());
    }

    static boolean commit(KafkaProducer<String, String> producer, Transaction transaction, Runnable drop) {
      for (int attempts = 0; ; attempts++) {
        try {
          producer.commitTransaction();
          transaction.end("committed");
          return true;
        } catch (TimeoutException slow) {
          if (attempts < 3 && !isFatal(slow)) continue;
          note(transaction.process, "commit", slow);
          transaction.end("unknown");
        } catch (Exception failure) {
          note(transaction.process, "commit", failure);
          if (!isFatal(failure)) {
            try {
              producer.abortTransaction(); // allowed only when the commit will not be
              transaction.end("aborted");
              return true;
            } catch (Exception second) {
              note(transaction.process, "abort after commit", second);
            }
          }
          transaction.end("unknown");
        }
        drop.run();
        return false;
      }
    }

    boolean abort(Transaction transaction) {
      for (int attempts = 0; ; attempts++) {
        try {
          producer.abortTransaction();
          transaction.end("aborted");
          return true;
        } catch (TimeoutException slow) {
          if (attempts < 3) continue;
          note(process, "abort", slow);
        } catch (Exception failure) {
          note(process, "abort", failure);
        }
        transaction.end("aborted"); // nobody has asked for a commit
        drop();
        return false;
      }
    }

    static boolean isFatal(Throwable failure) {
      for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
        String kind = cause.getClass().getSimpleName();
        if (kind.equals("ProducerFencedException") || kind.equals("InvalidPidMappingException") || kind.equals("IllegalStateException")) return true;
        if (kind.equals("OutOfOrderSequenceException") || kind.contains("Authorization") || kind.equals("UnsupportedVersionException")) return true;
      }
      return false;
    }

    /** Left with its transaction open. Perhaps it comes back later, when somebody else has the id, and goes on as if nothing was. */
    void abandon(Transaction transaction, long afterMs, Runnable lastDeed) {
      KafkaProducer<String, String> zombie = producer;
      producer = null;
      String value = value();
      undead.add(later.schedule(() -> {
        try {
          lastDeed.run();
          transaction.send(zombie, sources.get(0), value);
          zombie.flush();
          transaction.commitBegan = now();
          commit(zombie, transaction, () -> {});
        } catch (Exception failure) {
          note(transaction.process, "zombie", failure);
          transaction.end("aborted");
        } finally {
          zombie.close(Duration.ZERO);
        }
      }, afterMs, TimeUnit.MILLISECONDS));
    }

    void bury(Transaction transaction) {
      transaction.end("aborted");
      drop();
    }
  }

  /** Transactions over several partitions, some with a poll, with every kind of end. */
  static class Writer extends Transactor {
    KafkaConsumer<String, String> consumer;

    Writer(String name, Random random) {
      super(name, random);
    }

    public void run() {
      consumer = consumer("read_committed", null, null);
      consumer.assign(everything);
      consumer.seekToBeginning(everything);
      while (!isOver()) {
        if (producer == null && !open(name)) continue;
        transaction();
        if (random.nextInt(8) == 0) pause(random.nextInt(20));
      }
      if (producer != null) producer.close(Duration.ofSeconds(5));
      consumer.close(CloseOptions.timeout(Duration.ofSeconds(1)));
    }

    void transaction() {
      Transaction transaction = new Transaction(process, id);
      try {
        producer.beginTransaction();
        for (int parts = 1 + random.nextInt(4); parts > 0; parts--) {
          if (random.nextInt(5) == 0) {
            transaction.steps.add(Map.of("poll", poll(consumer, "read_committed", random.nextInt(10), new ArrayList<>())));
            continue;
          }
          TopicPartition to = sources.get(random.nextInt(sources.size()));
          for (int records = 1 + random.nextInt(3); records > 0; records--) transaction.send(producer, to, value());
          if (random.nextInt(4) == 0) producer.flush();
        }
      } catch (Exception failure) {
        note(process, "send", failure);
        if (isFatal(failure)) bury(transaction);
        else abort(transaction);
        return;
      }
      int fate = random.nextInt(100);
      if (fate < 70) {
        commit(transaction);
      } else if (fate < 90) {
        if (random.nextBoolean()) producer.flush();
        abort(transaction);
      } else if (fate < 94) { // crashes; the next one of the same id fences it
        if (random.nextBoolean()) producer.flush();
        bury(transaction);
      } else if (fate < 98) { // as well, but it comes back
        producer.flush();
        abandon(transaction, 200 + random.nextInt(1500), () -> {});
      } else if (fate < 99) { // holds it open for longer than it may
        producer.flush();
        pause(settings.get("transactionTimeoutMs").asInt() + random.nextInt(2000));
        commit(transaction);
      } else { // the same, and nobody with this id comes for a while
        producer.flush();
        bury(transaction);
        pause(settings.get("transactionTimeoutMs").asInt());
      }
    }
  }

  /** Consume, transform, produce: a member of a group whose offsets are committed with the results. */
  static class Transformer extends Transactor {
    final String protocol;
    final String group;
    KafkaConsumer<String, String> consumer;
    List<Object> places = new ArrayList<>();

    Transformer(String name, String protocol, Random random) {
      super(name, random);
      this.protocol = protocol;
      this.group = "transformers-" + protocol;
    }

    public void run() {
      while (!isOver()) {
        if (producer == null) {
          // Some keep their id from life to life; others have a new one and are fenced by the group alone.
          if (consumer != null) close();
          if (!open(random.nextBoolean() ? name : name + "-" + (lives.get() + 1))) continue;
          join();
        }
        try {
          step();
        } catch (Exception failure) {
          note(process, "poll", failure);
          drop();
        }
      }
      if (producer != null) producer.close(Duration.ofSeconds(5));
      if (consumer != null) close();
    }

    void join() {
      consumer = consumer("read_committed", group, protocol);
      places = new ArrayList<>();
      consumer.subscribe(List.of(source), new ConsumerRebalanceListener() {
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
          if (!partitions.isEmpty()) places.add(Map.of("placed", names(partitions)));
        }

        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
      });
    }

    void close() {
      try {
        consumer.close(CloseOptions.timeout(Duration.ofSeconds(2)));
      } catch (Exception failure) {
        note(process, "close", failure);
      }
      consumer = null;
    }

    void step() {
      List<ConsumerRecord<String, String>> records = new ArrayList<>();
      Transaction transaction = new Transaction(process, id);
      Map<String, Object> polled = poll(consumer, "read_committed", 100, records);
      if (records.isEmpty()) return;
      transaction.steps.addAll(places);
      places.clear();
      transaction.steps.add(Map.of("poll", polled));
      Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
      Map<TopicPartition, Long> first = new HashMap<>();
      for (var record : records) {
        TopicPartition from = new TopicPartition(record.topic(), record.partition());
        next.put(from, new OffsetAndMetadata(record.offset() + 1));
        first.putIfAbsent(from, record.offset());
      }
      ConsumerGroupMetadata member = consumer.groupMetadata();
      int fate = random.nextInt(100);
      if (fate < 2) { // a zombie that does everything too late: its partitions are others' by then
        KafkaProducer<String, String> late = producer;
        KafkaConsumer<String, String> silent = consumer;
        abandon(transaction, 7000, () -> {
          late.beginTransaction();
          process(late, transaction, records, next, member);
          silent.close(CloseOptions.timeout(Duration.ZERO));
        });
        consumer = null;
        return;
      }
      try {
        producer.beginTransaction();
        process(producer, transaction, records, next, member);
      } catch (Exception failure) {
        note(process, "process", failure);
        if (isFatal(failure)) bury(transaction);
        else if (abort(transaction)) goBack(first);
        return;
      }
      if (fate < 4) { // crashes; its member goes when its time is over
        bury(transaction);
        KafkaConsumer<String, String> silent = consumer;
        later.schedule(() -> silent.close(CloseOptions.timeout(Duration.ZERO)), 6, TimeUnit.SECONDS);
        consumer = null;
      } else if (fate < 15) {
        if (abort(transaction)) goBack(first);
      } else {
        if (commit(transaction) && transaction.outcome.equals("aborted")) goBack(first);
      }
      if (random.nextInt(60) == 0) drop(); // leaves, and another takes its place
    }

    void process(KafkaProducer<String, String> producer, Transaction transaction, List<ConsumerRecord<String, String>> records,
        Map<TopicPartition, OffsetAndMetadata> next, ConsumerGroupMetadata member) {
      if (plant("offsets-outside")) consumer.commitSync(next);
      for (var record : records) transaction.send(producer, new TopicPartition(outputOf(protocol), record.partition()), value());
      Map<String, Long> offsets = new TreeMap<>();
      next.forEach((partition, offset) -> offsets.put(name(partition), offset.offset()));
      transaction.steps.add(Map.of("group", group, "offsets", offsets));
      if (!plant("offsets-outside")) producer.sendOffsetsToTransaction(next, member);
    }

    void goBack(Map<TopicPartition, Long> first) {
      List<String> moved = new ArrayList<>();
      for (var place : first.entrySet()) {
        if (!consumer.assignment().contains(place.getKey())) continue;
        consumer.seek(place.getKey(), place.getValue());
        moved.add(name(place.getKey()));
      }
      if (!moved.isEmpty()) places.add(Map.of("placed", moved));
    }
  }

  /** Single records outside transactions, between those of the others. */
  static class PlainProducer implements Runnable {
    final String process;
    final Random random;

    PlainProducer(String process, Random random) {
      this.process = process;
      this.random = random;
    }

    public void run() {
      record Sent(String partition, String value, Future<RecordMetadata> answer) {}
      List<Sent> all = new ArrayList<>();
      Map<String, Object> configs = shared("linger.ms", "5");
      configs.put("delivery.timeout.ms", 30_000);
      try (var producer = new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer())) {
        for (int i = 0; !isOver(); i++) {
          TopicPartition to = sources.get(random.nextInt(sources.size()));
          String value = process + "." + i;
          try {
            all.add(new Sent(name(to), value, producer.send(new ProducerRecord<>(to.topic(), to.partition(), null, value))));
          } catch (Exception failure) {
            note(process, "send", failure);
          }
          pause(random.nextInt(40));
        }
      }
      for (Sent sent : all) {
        Long offset = null;
        try {
          offset = sent.answer.get().offset();
        } catch (Exception failure) {
          note(process, "send", failure);
        }
        write(new Event("send").with("process", process).with("partition", sent.partition).with("value", sent.value).with("offset", offset));
      }
    }
  }

  /** Reads everything: with places of its own, in which it jumps now and then, or as a member of a group. */
  static class Reader implements Runnable {
    final String name;
    final String isolation;
    final String protocol;
    final Random random;
    int lives;

    Reader(String name, String isolation, String protocol, Random random) {
      this.name = name;
      this.isolation = isolation;
      this.protocol = protocol;
      this.random = random;
    }

    public void run() {
      while (!isOver()) live(name + "#" + ++lives);
    }

    void live(String process) {
      KafkaConsumer<String, String> consumer = consumer(isolation, protocol == null ? null : "subscribers-" + protocol, protocol);
      if (protocol == null) {
        consumer.assign(everything);
        consumer.seekToBeginning(everything);
      } else {
        consumer.subscribe(everything.stream().map(TopicPartition::topic).distinct().toList(), new ConsumerRebalanceListener() {
          public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            write(new Event("placed").with("process", process).with("partitions", names(partitions)));
          }

          public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
        });
      }
      long until = protocol == null ? Long.MAX_VALUE : System.nanoTime() + (3000 + random.nextInt(6000)) * 1_000_000L;
      while (!isOver() && System.nanoTime() < until) {
        try {
          List<ConsumerRecord<String, String>> records = new ArrayList<>();
          Map<String, Object> polled = poll(consumer, isolation, 50, records);
          if (records.isEmpty()) continue;
          Event event = new Event("poll").with("process", process);
          polled.forEach(event::with);
          write(event);
          if (protocol != null && random.nextInt(4) == 0) consumer.commitSync();
          if (protocol == null && random.nextInt(60) == 0) jump(consumer, process);
        } catch (Exception failure) {
          note(process, "poll", failure);
          pause(50);
        }
      }
      try {
        consumer.close(CloseOptions.timeout(Duration.ofSeconds(1)));
      } catch (Exception failure) {
        note(process, "close", failure);
      }
    }

    void jump(KafkaConsumer<String, String> consumer, String process) {
      TopicPartition partition = everything.get(random.nextInt(everything.size()));
      // Not further: to read half an hour again and again would make the history the square of its length.
      consumer.seek(partition, Math.max(0, consumer.position(partition) - random.nextInt(2000)));
      write(new Event("placed").with("process", process).with("partitions", List.of(name(partition))));
    }
  }

  /** What there is when everything is over. */
  static class Last {
    void read() throws Exception {
      for (String id : ids) {
        for (int attempts = 0; ; attempts++) {
          try (var producer = transactional(id)) {
            producer.initTransactions();
            break;
          } catch (Exception failure) {
            note("last", "initTransactions of " + id, failure);
            if (attempts == 5) throw failure;
          }
        }
      }
      try (Admin admin = Admin.create(shared())) {
        untilStable(admin);
        for (String isolation : List.of("read_uncommitted", "read_committed"))
          for (TopicPartition partition : everything) whole(partition, isolation);
        for (String group : groups) {
          Map<String, Long> offsets = new TreeMap<>();
          var options = new ListConsumerGroupOffsetsOptions().requireStable(true);
          admin.listConsumerGroupOffsets(group, options).partitionsToOffsetAndMetadata().get()
            .forEach((partition, offset) -> { if (offset != null) offsets.put(name(partition), offset.offset()); });
          write(new Event("groupOffsets").with("group", group).with("offsets", offsets));
        }
      }
    }

    /** Every transaction has its end, save one that hangs: that is for the checks to tell. */
    void untilStable(Admin admin) throws Exception {
      for (int attempts = 0; attempts < 300; attempts++) {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (TopicPartition partition : everything) asked.put(partition, OffsetSpec.latest());
        var stable = admin.listOffsets(asked, new ListOffsetsOptions(org.apache.kafka.common.IsolationLevel.READ_COMMITTED)).all().get();
        var ends = admin.listOffsets(asked).all().get();
        if (everything.stream().allMatch(partition -> stable.get(partition).offset() == ends.get(partition).offset())) return;
        pause(100);
      }
    }

    void whole(TopicPartition partition, String isolation) {
      Map<String, Object> configs = shared("isolation.level", isolation);
      List<Object> records = new ArrayList<>();
      try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        long end = consumer.endOffsets(List.of(partition)).get(partition);
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (consumer.position(partition) < end && System.nanoTime() < deadline)
          for (var record : consumer.poll(Duration.ofMillis(100))) records.add(List.of(record.offset(), record.value()));
        write(new Event("final").with("isolation", isolation).with("partition", name(partition)).with("endOffset", end).with("records", records));
      }
    }
  }
}
