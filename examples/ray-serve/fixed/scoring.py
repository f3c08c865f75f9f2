"""The application: an ingress that asks for the profile of a customer, then the model.

FastAPI must see the types of the routes as they are, so annotations are not postponed here.
"""

import os
from typing import Any

import joblib
import redis.asyncio as redis
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.util.metrics import Counter

api = FastAPI()


class Payment(BaseModel):
    """A payment that waits for a decision."""

    customer: int
    amount: float


@serve.deployment
class Profiles:
    """What is known of a customer."""

    def __init__(self) -> None:
        self._store = redis.Redis.from_url(os.environ["PROFILES_URL"], decode_responses=True)

    async def of(self, customer: int) -> tuple[float, int] | None:
        """Return what a customer usually pays, and in how many countries; nothing if the customer is not known."""
        profile = await self._store.hgetall(f"customer:{customer}")
        return (float(profile["usual"]), int(profile["countries"])) if profile else None


@serve.deployment
class Model:
    """The classifier."""

    def __init__(self) -> None:
        self._model = joblib.load("/models/fraud.joblib")

    def probability(self, usual: float, amount: float, countries: int) -> float:
        """Return the probability of fraud."""
        return float(self._model.predict_proba([[usual, amount, countries]])[0, 1])


@serve.deployment
@serve.ingress(api)
class Scoring:
    """What clients talk to."""

    def __init__(self, profiles: DeploymentHandle, model: DeploymentHandle) -> None:
        self._profiles, self._model = profiles, model
        # Fixed: scores without a profile are counted and flagged.
        self._fallbacks = Counter("scores_without_profile", "Payments that were scored without a profile")

    @api.post("/score")
    async def score(self, payment: Payment) -> dict[str, Any]:
        """Score a payment."""
        profile = await self._profiles.of.remote(payment.customer)
        if profile is None:
            self._fallbacks.inc()
        usual, countries = profile or (50.0, 1)
        probability = await self._model.probability.remote(usual, payment.amount, countries)
        return {
            "fraud": int(probability > 0.5),
            "probability": round(probability, 4),
            "fallback": profile is None,
        }

    @api.get("/ready")
    async def ready(self) -> dict[str, str]:
        """All deployments run."""
        return {"status": "ok"}


app = Scoring.bind(Profiles.bind(), Model.bind())
