import java.util.List;
import java.util.Map;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricsReporter;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.telemetry.ClientTelemetry;
import org.apache.kafka.server.telemetry.ClientTelemetryPayload;
import org.apache.kafka.server.telemetry.ClientTelemetryReceiver;
import org.apache.kafka.shaded.com.google.protobuf.InvalidProtocolBufferException;
import org.apache.kafka.shaded.io.opentelemetry.proto.metrics.v1.MetricsData;

/** Takes the metrics that clients push, and refuses what is no OTLP: Kafka serves KIP-714 only where such a plugin is. */
public class TelemetryReporter implements MetricsReporter, ClientTelemetry, ClientTelemetryReceiver {
  @Override
  public void init(List<KafkaMetric> metrics) {}

  @Override
  public void metricChange(KafkaMetric metric) {}

  @Override
  public void metricRemoval(KafkaMetric metric) {}

  @Override
  public void close() {}

  @Override
  public void configure(Map<String, ?> configs) {}

  @Override
  public ClientTelemetryReceiver clientReceiver() {
    return this;
  }

  @Override
  public void exportMetrics(AuthorizableRequestContext context, ClientTelemetryPayload payload) {
    try {
      MetricsData.parseFrom(payload.data());
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException(error);
    }
  }
}
