"""A careless federation as its owner declares it, and the run that looked at it. No test itself."""

import hashlib
from datetime import UTC, date, datetime

from reports.model import (
    Artifact,
    Auditor,
    Claims,
    Dataset,
    DifferentialPrivacy,
    Effort,
    Federation,
    Model,
    Provenance,
    SecureAggregation,
    System,
    Update,
)

SYSTEM_NAME = "ward-triage"


def artifact(path: str, kind: str, size: int = 41_203) -> Artifact:
    """Return an artifact whose digest follows from its path."""
    return Artifact(path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), size=size, kind=kind)


def sample_system() -> System:
    """Return the system under review."""
    updates = tuple(
        Update(
            path=artifact(f"updates/client_{i:02}.safetensors", "updates.path"),
            kind="gradient",
            client=f"client {i}",
            round=1,
            batch_size=1,
            truth=artifact(f"updates/client_{i:02}.npz", "updates.truth", 2_310),
        )
        for i in range(6)
    )
    return System(
        name=SYSTEM_NAME,
        version="2.3.1",
        provider="Example Clinics Network",
        intended_purpose="Suggests a ward for patients who are being admitted; a nurse decides.",
        risk_class="high-risk",
        annex_iii_area="5(d)",
        law_version="2024",
        placed_on_market=date(2026, 12, 1),
        conditions=("personal-data", "special-category-data"),
        federation=Federation(
            framework="own",
            clients=10,
            rounds=16,
            clients_per_round=10,
            batch_size=1,
            learning_rate=0.1,
            server_trust="honest-but-curious",
            visibility="update",
            aggregation="mean",
            secure_aggregation=SecureAggregation(protocol="fedaudit-secagg", clients=10, degree=9, threshold=2),
            differential_privacy=DifferentialPrivacy(
                unit="client",
                clipping_norm=1.0,
                noise_multiplier=0.4,
                sampling="full",
                steps=16,
                epsilon=3.0,
                delta=1e-5,
            ),
        ),
        model=Model(
            checkpoint=artifact("model.safetensors", "model.checkpoint"),
            layers=artifact("layers.json", "model.layers", 412),
            task="classification",
            input_shape=(64,),
            classes=10,
        ),
        data=(Dataset(role="nonmembers", path=artifact("held-out.npz", "data.path", 518_220)),),
        updates=updates,
        claims=Claims(epsilon=3.0, delta=1e-5, privacy_unit="client", accuracy=0.88),
        source=artifact("system.toml", "system", 2_204),
    )


def sample_provenance() -> Provenance:
    """Return how the sample came about."""
    moment = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    return Provenance(
        tool_version="0.1.0",
        root_seed=3_141_592_653_589_793,
        seed_source="derived",
        effort=Effort.SMOKE,
        python="3.11.2",
        platform="linux-x86_64",
        threads=1,
        packages={"numpy": "2.4.6", "torch": "2.13.0", "opacus": "1.6.0", "pydantic": "2.14.3"},
        auditor=Auditor(name="A. Auditor", organisation="Audit Office", independence="external"),
        policy_sha256="5c" * 32,
        started=moment,
        finished=moment,
    )
