"""What the dispatch team knows of a driver: `feast apply` registers it."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)

driver_stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=7),
    schema=[
        Field(name="acceptance_rate", dtype=Float32, description="share of the offers that the driver accepted lately"),
        Field(name="idle_min", dtype=Float32, description="minutes since the last trip"),
        Field(name="trips_today", dtype=Int64),
    ],
    source=FileSource(path="/data/driver_stats", timestamp_field="event_timestamp"),
)

acceptance_v1 = FeatureService(name="acceptance_v1", features=[driver_stats])
