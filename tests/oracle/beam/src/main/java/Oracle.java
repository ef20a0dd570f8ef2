// Runs Apache Beam's own NEXMark generator, so that Weir's can be compared with it.
//
//   Oracle csv DIR EVENTS RATE GROUP FIRST   person.csv, auction.csv and bid.csv, as `weir nexmark`
//   Oracle table < CONFIGS                   a hash per line `events,rate,group,first`
//   Oracle prices FIRST COUNT                a hash of one price per seed
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.apache.beam.sdk.nexmark.NexmarkConfiguration;
import org.apache.beam.sdk.nexmark.NexmarkUtils;
import org.apache.beam.sdk.nexmark.model.Auction;
import org.apache.beam.sdk.nexmark.model.Bid;
import org.apache.beam.sdk.nexmark.model.Event;
import org.apache.beam.sdk.nexmark.model.Person;
import org.apache.beam.sdk.nexmark.sources.generator.Generator;
import org.apache.beam.sdk.nexmark.sources.generator.GeneratorConfig;
import org.apache.beam.sdk.nexmark.sources.generator.model.PriceGenerator;

public final class Oracle {
  private static final String[] NAMES = {"person.csv", "auction.csv", "bid.csv"};
  private static final String[] HEADERS = {
    "id,name,email,card,city,state,time,extra",
    "id,name,description,initial_bid,reserve,time,expires,seller,category,extra",
    "auction,bidder,price,time,extra"
  };

  public static void main(String[] args) throws IOException {
    if (args.length == 6 && args[0].equals("csv")) {
      csv(Path.of(args[1]), number(args[2]), number(args[3]), number(args[4]), number(args[5]));
    } else if (args.length == 1 && args[0].equals("table")) {
      table();
    } else if (args.length == 3 && args[0].equals("prices")) {
      prices(number(args[1]), number(args[2]));
    } else {
      System.err.println("use: csv DIR EVENTS RATE GROUP FIRST | table | prices FIRST COUNT");
      System.exit(2);
    }
  }

  private static long number(String text) {
    return Long.parseLong(text.strip());
  }

  private static Generator generator(long events, long rate, long group, long first) {
    NexmarkConfiguration configuration = NexmarkConfiguration.DEFAULT.copy();
    configuration.numEventGenerators = 1;
    configuration.firstEventRate = (int) rate;
    configuration.nextEventRate = (int) rate;
    configuration.outOfOrderGroupSize = group;
    configuration.numEvents = first + events;
    GeneratorConfig whole =
        ((Generator) NexmarkUtils.standardEventIterator(configuration)).getCurrentConfig();
    return new Generator(whole.copyWith(whole.firstEventId, events, whole.firstEventNumber + first));
  }

  private static int kind(Event event) {
    return event.newPerson != null ? 0 : event.newAuction != null ? 1 : 2;
  }

  private static String line(Event event) {
    StringBuilder out = new StringBuilder(600);
    if (event.newPerson != null) {
      Person p = event.newPerson;
      out.append(p.id).append(',').append(p.name).append(',').append(p.emailAddress).append(',');
      out.append(p.creditCard).append(',').append(p.city).append(',').append(p.state).append(',');
      out.append(p.dateTime.getMillis()).append(',').append(p.extra);
    } else if (event.newAuction != null) {
      Auction a = event.newAuction;
      out.append(a.id).append(',').append(a.itemName).append(',').append(a.description);
      out.append(',').append(a.initialBid).append(',').append(a.reserve).append(',');
      out.append(a.dateTime.getMillis()).append(',').append(a.expires.getMillis()).append(',');
      out.append(a.seller).append(',').append(a.category).append(',').append(a.extra);
    } else {
      Bid b = event.bid;
      out.append(b.auction).append(',').append(b.bidder).append(',').append(b.price).append(',');
      out.append(b.dateTime.getMillis()).append(',').append(b.extra);
    }
    return out.append('\n').toString();
  }

  private static void csv(Path directory, long events, long rate, long group, long first)
      throws IOException {
    OutputStream[] out = new OutputStream[3];
    for (int kind = 0; kind < 3; kind++) {
      out[kind] = new BufferedOutputStream(Files.newOutputStream(directory.resolve(NAMES[kind])));
      out[kind].write((HEADERS[kind] + "\n").getBytes(StandardCharsets.US_ASCII));
    }
    Generator generator = generator(events, rate, group, first);
    while (generator.hasNext()) {
      Event event = generator.nextEvent().event;
      out[kind(event)].write(line(event).getBytes(StandardCharsets.US_ASCII));
    }
    for (OutputStream file : out) {
      file.close();
    }
  }

  // FNV-1a, 64 bits.
  private static long hash(long hash, String text) {
    for (int i = 0; i < text.length(); i++) {
      hash = (hash ^ text.charAt(i)) * 0x100000001b3L;
    }
    return hash;
  }

  // One hash over every event: "kind,watermark," and its CSV line.
  private static void table() throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] c = line.split(",");
      Generator generator = generator(number(c[0]), number(c[1]), number(c[2]), number(c[3]));
      long[] counts = new long[3];
      long hash = 0xcbf29ce484222325L;
      while (generator.hasNext()) {
        Generator.NextEvent next = generator.nextEvent();
        int kind = kind(next.event);
        counts[kind]++;
        hash = hash(hash, kind + "," + next.watermark + "," + line(next.event));
      }
      System.out.printf("%s,%s,%s,%s,%d,%d,%d,%016x%n", c[0], c[1], c[2], c[3], counts[0],
          counts[1], counts[2], hash);
    }
  }

  private static void prices(long first, long count) {
    long hash = 0;
    for (long seed = first; seed < first + count; seed++) {
      hash = hash * 0x100000001b3L + PriceGenerator.nextPrice(new Random(seed));
    }
    System.out.printf("%d,%d,%016x%n", first, count, hash);
  }

  private Oracle() {}
}
