import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import org.HdrHistogram.Histogram;

/**
 * Prints histograms in HdrHistogram's encoding, with the percentiles that Java's library finds, as JSON.
 * histograms.json is its output. With a JDK and Debian's libhdrhistogram-java:
 *
 *     java -cp /usr/share/java/hdrhistogram.jar EncodedHistograms.java > histograms.json
 */
class EncodedHistograms {
  static final long hour = 3_600_000_000_000L;
  static final double[] percents = {0.01, 10, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100};

  public static void main(String[] arguments) {
    System.out.println("[");
    print("empty", ours(), false);
    Histogram one = ours();
    one.recordValue(1_234_567);
    print("one value", one, false);
    Histogram ends = ours();
    for (long value : new long[] {0, 1, 2047, 2048, 2049, 4095, 4096, hour}) ends.recordValue(value);
    print("the ends of buckets", ends, false);
    Histogram spread = ours();
    // The minimal standard generator (Lehmer), so that the values are the same each time.
    long state = 1;
    for (int index = 0; index < 100_000; index++) {
      state = state * 48271 % 2147483647;
      double exponential = -Math.log(state / 2147483647.0);
      spread.recordValue(Math.min((long) (exponential * exponential * 1e6), hour));
    }
    print("100,000 spread values", spread, false);
    Histogram many = ours();
    many.recordValueWithCount(50_000, 1L << 45);
    many.recordValueWithCount(51_000, (1L << 31) + 3);
    many.recordValueWithCount(9_000_000_000L, 1);
    print("many of a value", many, false);
    Histogram other = new Histogram(1, hour, 2);
    other.recordValue(1000);
    print("two digits", other, true);
    System.out.println("]");
  }

  static Histogram ours() {
    return new Histogram(1, hour, 3);
  }

  static void print(String name, Histogram histogram, boolean isLast) {
    ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
    int length = histogram.encodeIntoCompressedByteBuffer(buffer);
    String encoded = Base64.getEncoder().encodeToString(Arrays.copyOf(buffer.array(), length));
    StringBuilder values = new StringBuilder();
    for (double percent : percents) {
      if (values.length() > 0) values.append(", ");
      values.append("[").append(percent).append(", ");
      values.append(histogram.getValueAtPercentile(percent)).append("]");
    }
    System.out.println("  {");
    System.out.println("    \"name\": \"" + name + "\",");
    System.out.println("    \"count\": " + histogram.getTotalCount() + ",");
    System.out.println("    \"mean\": " + histogram.getMean() + ",");
    System.out.println("    \"standardDeviation\": " + histogram.getStdDeviation() + ",");
    System.out.println("    \"percentiles\": [" + values + "],");
    System.out.println("    \"hdr\": \"" + encoded + "\"");
    System.out.println("  }" + (isLast ? "" : ","));
  }
}
