"""The change topics as Parquet, every committed event once; docs/platform.md says how to run it.

A batch is a range of offsets that the checkpoint notes before anything is written, and a batch has folders of its own.
So one that was cut off, or not noted as done, is the same when it comes again, and takes the place of what is there.
"""

import argparse
import json
from functools import cache
from urllib.request import urlopen

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.functions import col, collect_set, lit, struct, substring, to_json

parser = argparse.ArgumentParser(description="Reads what is new in the change topics, and ends.")
parser.add_argument("--bootstrap-servers", required=True)
parser.add_argument("--registry", required=True, help="root of its Confluent-compatible API")
parser.add_argument("--prefix", default="vtj", help="what the topics begin with")
parser.add_argument("--batch", default=1_000_000, type=int, help="how many events a batch has at most")
parser.add_argument("--checkpoint", required=True, help="folder of Spark's own; belongs to the output")
parser.add_argument("--output", required=True, help="folder of the Parquet files")
args = parser.parse_args()

FRAME = 5  # bytes before the event: 00, and the registry's id of the schema


@cache
def schema(number: int) -> str:
    with urlopen(f"{args.registry}/schemas/ids/{number}", timeout=60) as answer:
        return json.load(answer)["schema"]


def write(batch: DataFrame, number: int) -> None:
    """Each topic and schema by itself: an event is decoded with the schema that it was written with."""
    batch.persist()
    for topic, frame in batch.select(collect_set(struct("topic", "frame"))).first()[0]:
        if frame[0] != 0:
            raise ValueError(f"{topic} has events that were written without a registry")
        written = int.from_bytes(frame[1:], "big")
        events = batch.where((col("topic") == topic) & (col("frame") == lit(frame)))
        decoded = events.select("key", "partition", "offset", from_avro("body", schema(written)).alias("event"))
        columns = decoded.select("key", "partition", "offset", "event.*")
        if not columns.schema["data"].dataType.fields:  # Parquet has no record without fields
            columns = columns.withColumns({name: to_json(name) for name in ("data", "inForce")})
        columns.write.mode("overwrite").parquet(f"{args.output}/{topic}/batch={number}/schema={written}")
    batch.unpersist()


spark = (
    SparkSession.builder.appName("vtj-changes")
    .config("spark.sql.caseSensitive", "true")  # upstream has spelt a field of KOTIKUNTA in two ways
    .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    .getOrCreate()
)
records = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", args.bootstrap_servers)
    .option("kafka.isolation.level", "read_committed")
    .option("subscribePattern", rf"{args.prefix}[.]change[.][a-z0-9-]+")
    .option("groupIdPrefix", f"{args.prefix}-parquet")
    .option("startingOffsets", "earliest")
    .option("maxOffsetsPerTrigger", args.batch)
    .load()
)
columns = records.select(
    "topic",
    "partition",
    "offset",
    col("key").cast("string"),
    substring("value", 1, FRAME).alias("frame"),
    substring("value", FRAME + 1, 1 << 30).alias("body"),
)
query = columns.writeStream.foreachBatch(write).option("checkpointLocation", args.checkpoint)
query.trigger(availableNow=True).start().awaitTermination()
