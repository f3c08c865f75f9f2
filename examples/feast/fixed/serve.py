"""The model server: asks the feature server about the driver, and predicts whether an offer will be accepted."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import joblib
import pandas as pd
import requests
import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel

FEATURES_URL = os.environ["FEATURES_URL"]
TIMEOUT_S = float(os.environ.get("FEATURES_TIMEOUT_S", "2"))
COLUMNS = ["acceptance_rate", "idle_min", "trips_today", "pickup_km"]

PREDICTIONS = Counter("predictions_total", "Requests for a prediction by status", ["code"])
# Fixed: predictions without the driver's features are counted and flagged.
FALLBACKS = Counter("predictions_fallback_total", "Predictions without usable features of the driver")
LATENCY = Histogram("prediction_latency_seconds", "From a request's arrival to its answer")

app = FastAPI()
model = joblib.load("/models/acceptance.joblib")
session = requests.Session()


class Offer(BaseModel):
    """An offer to a driver."""

    driver_id: int
    pickup_km: float


def driver_features(driver_id: int) -> dict[str, Any]:
    """Ask the feature server."""
    answer = session.post(
        f"{FEATURES_URL}/get-online-features",
        json={"feature_service": "acceptance_v1", "entities": {"driver_id": [driver_id]}},
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
    found = answer.json()
    values = [result["values"][0] for result in found["results"]]
    return dict(zip(found["metadata"]["feature_names"], values, strict=True))


def usable(features: dict[str, Any]) -> bool:
    """Return whether a driver's features are there, and a rate is a rate."""
    rate = features["acceptance_rate"]
    return None not in features.values() and 0 <= rate <= 1


@app.middleware("http")
async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count and time predictions."""
    if request.url.path != "/predict":
        return await call_next(request)
    started, code = time.monotonic(), 500
    try:
        response = await call_next(request)
        code = response.status_code
        return response
    finally:
        PREDICTIONS.labels(str(code)).inc()
        LATENCY.observe(time.monotonic() - started)


@app.post("/predict")
def predict(offer: Offer) -> dict[str, Any]:
    """Predict."""
    features = driver_features(offer.driver_id)
    fallback = not usable(features)
    if fallback:
        FALLBACKS.inc()
        features = dict.fromkeys(features)
    row = features | {"pickup_km": offer.pickup_km}
    probability = float(model.predict_proba(pd.DataFrame([row], columns=COLUMNS))[0, 1])
    return {
        "driver_id": offer.driver_id,
        "accepts": int(probability > 0.5),
        "probability": round(probability, 4),
        "fallback": fallback,
    }


@app.get("/health")
def health() -> dict[str, str]:
    """The model is loaded."""
    return {"status": "ok"}


@app.get("/metrics")
def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8080, access_log=False)  # noqa: S104 - a container has one network
