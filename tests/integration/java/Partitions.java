import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Base64;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/** Where the Java client puts each key: a line for a key in Base64, a partition for each count in the arguments. */
public class Partitions {
    public static void main(String[] counts) throws Exception {
        var out = new StringBuilder();
        var in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            byte[] key = Base64.getDecoder().decode(line);
            for (String count : counts) {
                out.append(BuiltInPartitioner.partitionForKey(key, Integer.parseInt(count))).append(' ');
            }
            out.append('\n');
        }
        System.out.print(out);
    }
}
