import com.fasterxml.jackson.databind.JsonNode;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/** Transactional producers by name, one step at a time, so that somebody else's step can come between two of theirs. */
class Transactions {
  static final Map<String, KafkaProducer<String, String>> producers = new ConcurrentHashMap<>();

  static void define(Map<String, JavaClient.Operation> operations) {
    operations.put("openProducer", Transactions::open);
    operations.put("beginTransaction", args -> {
      producer(args).beginTransaction();
      return null;
    });
    operations.put("send", Transactions::send);
    operations.put("sendOffsets", Transactions::sendOffsets);
    operations.put("commitTransaction", args -> {
      producer(args).commitTransaction();
      return null;
    });
    operations.put("abortTransaction", args -> {
      producer(args).abortTransaction();
      return null;
    });
    operations.put("closeProducer", args -> {
      producers.remove(args.get("producer").asText()).close();
      return null;
    });
    operations.put("describeTransaction", args -> {
      String id = args.get("transactionalId").asText();
      TransactionDescription found = JavaClient.admin().describeTransactions(List.of(id)).description(id).get();
      TreeSet<String> partitions = new TreeSet<>();
      found.topicPartitions().forEach(partition -> partitions.add(partition.toString()));
      return Map.of("state", found.state().toString(), "producerId", found.producerId(), "producerEpoch", found.producerEpoch(),
        "timeoutMs", found.transactionTimeoutMs(), "partitions", partitions);
    });
  }

  static KafkaProducer<String, String> producer(JsonNode args) {
    return producers.get(args.get("producer").asText());
  }

  static Object open(JsonNode args) {
    Map<String, Object> configs = new HashMap<>();
    configs.put("bootstrap.servers", JavaClient.bootstrap);
    configs.put("transactional.id", args.get("transactionalId").asText());
    configs.put("transaction.timeout.ms", args.path("timeoutMs").asInt(600000));
    configs.put("max.block.ms", 100000);
    var producer = new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer());
    producer.initTransactions();
    producers.put(args.get("producer").asText(), producer);
    return null;
  }

  /** Resolves when all are acknowledged. */
  static Object send(JsonNode args) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode record : args.get("records"))
      sent.add(producer(args).send(new ProducerRecord<>(JavaClient.topic(args), record.get("partition").asInt(),
        JavaClient.string(record.get("key")), JavaClient.string(record.get("value")))));
    for (Future<RecordMetadata> answer : sent) answer.get();
    return null;
  }

  /** Of a group by its name alone, or as one of its members. */
  static Object sendOffsets(JsonNode args) throws Exception {
    ConsumerGroupMetadata group = args.has("member")
      ? memberAs(args)
      : new ConsumerGroupMetadata(JavaClient.group(args));
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    for (JsonNode offset : args.get("offsets")) offsets.put(JavaClient.place(offset), new OffsetAndMetadata(offset.get("offset").asLong()));
    producer(args).sendOffsetsToTransaction(offsets, group);
    return null;
  }

  /** As the member is now, or as it was in a generation before. */
  static ConsumerGroupMetadata memberAs(JsonNode args) throws Exception {
    JavaClient.Member member = JavaClient.member(args);
    ConsumerGroupMetadata now = member.ask(member.consumer::groupMetadata);
    if (!args.has("generation")) return now;
    return new ConsumerGroupMetadata(now.groupId(), args.get("generation").asInt(), now.memberId(), now.groupInstanceId());
  }
}
