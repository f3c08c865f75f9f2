from feast import Entity, FeatureView

driver = Entity(name="driver", join_keys=["driver_id"])
driver_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    schema=[],
)
