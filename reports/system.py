"""The system under review, as its owner declares it: no tensors, every file by its digest.

The fields are the keys of system.toml; a key that was not given is None, never an empty string.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from reports.nouns import Count, Day, FiniteNumber, Noun, Sha256, Share, Text, WholeNumber, Word


def _below(path: str) -> str:
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("a path is relative, POSIX, and stays below the folder of the system file")
    return path


RelativePath = Annotated[Text, Field(min_length=1, max_length=1000), AfterValidator(_below)]
"""A POSIX path below the folder that it is relative to."""
Positive = Annotated[FiniteNumber, Field(gt=0)]
"""A number above zero."""
AtLeastOne = Annotated[int, Field(strict=True, ge=1, le=2**53 - 1)]
"""An integer from one."""
Fraction = Annotated[FiniteNumber, Field(ge=0, lt=1)]
"""A share below one."""


class Artifact(Noun):
    """One file or folder of the system, by what it holds."""

    path: RelativePath
    """Where it lies, relative to the system file."""
    sha256: Sha256
    """Digest of the file; of a folder: of the sorted list of relative paths and digests in RFC 8785 form."""
    size: Count
    """Bytes; of a folder the sum."""
    kind: Word
    """The key of system.toml that names it, such as `model.checkpoint`."""


class SecureAggregation(Noun):
    """`[federation.secure_aggregation]`: the protocol that hides single updates in their sum."""

    protocol: Word | None = None
    """`fedaudit-secagg`, `flower-secaggplus`, `flower-secagg`, `openfl-secagg` or free text."""
    clients: AtLeastOne | None = None
    """Clients in a cohort."""
    degree: AtLeastOne | None = None
    """Neighbours of each client, itself not counted."""
    threshold: AtLeastOne | None = None
    """Shares that reconstruct a secret (the reconstruction threshold)."""
    corrupt_fraction: Fraction | None = None
    """Share of clients assumed to collude with the server."""
    dropout_fraction: Fraction | None = None
    """Share of clients that may be lost in a round."""
    clipping_range: Positive | None = None
    """Largest absolute value of a coordinate before quantisation."""
    quantization_levels: AtLeastOne | None = None
    """Number of steps from -clipping_range to +clipping_range."""
    modulus_bits: AtLeastOne | None = None
    """Width of the ring in bits."""
    prg: Word | None = None
    """Generator of the masks: `aes256-ctr`, `aes128-ctr`, `chacha20`, `mt19937`, `python-random` or free text."""
    seed_bits: AtLeastOne | None = None
    """Entropy of a mask seed in bits."""
    signed_keys: Annotated[bool, Field(strict=True)] | None = None
    """Whether clients sign their keys."""
    consistency_check: Annotated[bool, Field(strict=True)] | None = None
    """Whether clients agree on the survivors before they unmask."""
    max_weight: AtLeastOne | None = None
    """Largest integer weight of a client."""
    beacon_source: Word | None = None
    """`server`, `simulation` or `public:TEXT`."""
    identities: Artifact | None = None
    """Public keys of the clients from whoever vouches for them."""
    transcripts: tuple[Artifact, ...] = ()
    """Recorded rounds."""


class DifferentialPrivacy(Noun):
    """`[federation.differential_privacy]`: the declared mechanism and what is claimed of it."""

    unit: Literal["client", "example"] | None = None
    """What one neighbouring data set differs in."""
    clipping_norm: Positive | None = None
    """L2 bound on one unit's contribution."""
    noise_multiplier: Annotated[FiniteNumber, Field(ge=0)] | None = None
    """Standard deviation of the noise on the sum, over clipping_norm."""
    sampling: Literal["poisson", "shuffle", "fixed-size", "full"] | None = None
    """How units are chosen for a step."""
    noise_added_by: Literal["clients", "server"] | None = None
    """Who adds the noise, and so who sees the sum without it."""
    sampling_rate: Share | None = None
    """Probability that a unit takes part in a step."""
    steps: AtLeastOne | None = None
    """Noised sums that were released."""
    epsilon: Positive | None = None
    """Claimed epsilon."""
    delta: Annotated[FiniteNumber, Field(gt=0, lt=1)] | None = None
    """Claimed delta."""
    accountant: Word | None = None
    """The accountant that the claim came from."""
    record: Artifact | None = None
    """Settings of the trainer, schema `fedaudit.dp-record/1`."""


class Federation(Noun):
    """`[federation]`: who trains, how, and what the server sees."""

    framework: Word | None = None
    """`flower`, `openfl`, `own` or free text."""
    clients: AtLeastOne | None = None
    """Clients in the federation."""
    rounds: AtLeastOne | None = None
    """Training rounds."""
    clients_per_round: AtLeastOne | None = None
    """Clients chosen in a round."""
    local_epochs: AtLeastOne | None = None
    """Epochs of local training in a round."""
    local_steps: AtLeastOne | None = None
    """Steps of local training in a round."""
    batch_size: AtLeastOne | None = None
    """Records in a local batch."""
    learning_rate: Positive | None = None
    """Local learning rate."""
    server_trust: Literal["trusted", "honest-but-curious", "malicious"] | None = None
    """What the server is assumed to do."""
    visibility: Literal["update", "aggregate"] | None = None
    """Whether the server sees each update, or sums alone."""
    aggregation: Word | None = None
    """Rule by which updates become a model, such as `mean`."""
    secure_aggregation: SecureAggregation | None = None
    """None where none is declared."""
    differential_privacy: DifferentialPrivacy | None = None
    """None where none is declared."""


class Normalisation(Noun):
    """What the model expects: (x - mean) / std, one number each or one a channel."""

    mean: tuple[FiniteNumber, ...]
    """Subtracted, per channel."""
    std: tuple[Positive, ...]
    """Divided by, per channel."""


class Definition(Noun):
    """A function of the owner's that builds the model; running it needs `--trust-code`."""

    file: Artifact
    """The Python file."""
    function: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """A function without arguments that returns an untrained module."""


class Model(Noun):
    """`[model]`: the model that is trained or released."""

    checkpoint: Artifact | None = None
    """Weights: safetensors, or a Hugging Face folder."""
    layers: Artifact | None = None
    """JSON list of standard layers."""
    definition: Definition | None = None
    """Code that builds the model, where `layers` cannot say it."""
    task: Word | None = None
    """Such as `classification`."""
    input_shape: tuple[AtLeastOne, ...] | None = None
    """Shape of one record, without the batch."""
    classes: AtLeastOne | None = None
    """Number of labels."""
    normalisation: Normalisation | None = None
    """Applied to a record before the first layer."""


class Dataset(Noun):
    """One `[[data]]`: records, or scores of records, and the part they play."""

    role: Literal[
        "members", "nonmembers", "calibration", "forget", "retain", "neighbours",
        "reference", "membership-scores", "canary-scores",
    ]  # fmt: skip
    """What the records are to the model."""
    path: Artifact
    """npz, jsonl or safetensors."""


class Update(Noun):
    """One `[[updates]]`: something that left a client, or a sum of such, and the planted truth behind it."""

    path: Artifact
    """safetensors; npz for embedding, logits and estimate."""
    kind: Literal["gradient", "delta", "aggregate", "embedding", "logits", "estimate", "statistics"]
    """Gradient of the mean loss, parameters after minus base, a sum over clients of those, or sums of activations."""
    of: Literal["gradient", "delta"] | None = None
    """What an aggregate sums; delta where not given."""
    clients: AtLeastOne | None = None
    """Number of clients summed."""
    divided_by: Positive | None = None
    """What the sum was divided by."""
    client: Word | None = None
    """Whose it is."""
    round: WholeNumber | None = None
    """The round it was sent in."""
    base: Artifact | None = None
    """The checkpoint it was computed at; the model's where not given."""
    batch_size: AtLeastOne | None = None
    """Records in a batch."""
    local_steps: AtLeastOne | None = None
    """Steps behind a delta."""
    learning_rate: Positive | None = None
    """Learning rate of those steps."""
    truth: Artifact | None = None
    """npz with the planted records `x` (B, *input_shape) and labels `y` (B,); of statistics the records behind them."""


class ErasureRequest(Noun):
    """One `[[unlearning]]`: what was asked to be forgotten, and what was done."""

    id: Word
    """Unique in the file."""
    kind: Literal["client", "sample", "class", "llm"]
    """What is to be forgotten."""
    method: Word | None = None
    """How, by name."""
    before: Artifact | None = None
    """The model before."""
    after: Artifact | None = None
    """The model that is said to have forgotten."""
    oracles: tuple[Artifact, ...] = ()
    """Models trained without the forget set."""
    forget: Artifact | None = None
    """The forget set."""
    retain: Artifact | None = None
    """The retain set."""
    twin: Artifact | None = None
    """Records like the forget set that were never trained on."""
    transcript: Artifact | None = None
    """What the method recorded."""


class Document(Noun):
    """One `[[documents]]`."""

    path: Artifact
    """The document."""
    kind: Word
    """`technical-documentation`, `instructions-for-use`, `risk-file` and others."""
    classification: Literal["public", "internal", "confidential"] = "confidential"
    """How far its words may be quoted."""


class Claims(Noun):
    """`[claims]`: free-standing claims that measurements may contradict."""

    epsilon: Positive | None = None
    """Upper bound on epsilon."""
    delta: Annotated[FiniteNumber, Field(gt=0, lt=1)] | None = None
    """The delta that goes with it."""
    privacy_unit: Literal["client", "example"] | None = None
    """Whom epsilon protects."""
    dropout_tolerance: Share | None = None
    """Share of clients that may be lost."""
    membership_advantage: Share | None = None
    """Upper bound on an attacker's advantage."""
    accuracy: Share | None = None
    """Share of right answers."""
    unlearned: tuple[Word, ...] = ()
    """Ids of erasure requests said to be honoured."""


Role = Literal["provider", "deployer", "importer", "distributor", "gpai-provider", "controller", "processor"]


class System(Noun):
    """The system under review, as declared. Frozen; files by digest."""

    name: Word
    """Name of the system."""
    version: Word
    """Its version."""
    provider: Word | None = None
    """Who answers for it."""
    intended_purpose: Text | None = None
    """What it is for (Regulation (EU) 2024/1689, Art. 3(12))."""
    risk_class: Literal["high-risk", "limited", "minimal", "gpai"] | None = None
    """The owner's own classification."""
    annex_iii_area: Word | None = None
    """Area of Annex III that it falls under."""
    law_version: Word | None = None
    """The version of the law that was declared to apply."""
    placed_on_market: Day | None = None
    """Day of placing on the market."""
    roles: tuple[Role, ...] = ("provider",)
    """The roles of the one who files this."""
    conditions: tuple[Word, ...] = ()
    """Words that decide which duties apply; `no-WORD` denies one."""
    federation: Federation | None = None
    """How it is trained."""
    model: Model | None = None
    """What is trained."""
    data: tuple[Dataset, ...] = ()
    """Records by role."""
    updates: tuple[Update, ...] = ()
    """What left the clients."""
    unlearning: tuple[ErasureRequest, ...] = ()
    """Erasure requests."""
    documents: tuple[Document, ...] = ()
    """Documents."""
    claims: Claims | None = None
    """Claims."""
    source: Artifact
    """The system file itself."""
