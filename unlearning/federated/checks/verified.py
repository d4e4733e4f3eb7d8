"""What the checks on a delivered model share: which requests they are asked about, and the one verification of each.

    request ─once─▶ delivered ─once─▶ evidence ─once─▶ report, whose tests each check asks for

Keys of `Context.once` begin with the request, so the checks of a run train no model twice.
"""

from collections.abc import Callable, Iterator

from reports.check import Context
from reports.model import Effort, ErasureRequest, Finding, Remedy, Severity, Status, System
from unlearning.federated.delivered import Delivered, load_delivered
from unlearning.federated.oracles import FolderCache
from unlearning.verification.evidence import Evidence
from unlearning.verification.gather import gather
from unlearning.verification.replay import Replay, replay
from unlearning.verification.suite import VerificationReport

CONTROLS = ("GDPR:17(1)", "GDPR:5(1)(e)", "EU-AIA:15(5)#data-poisoning", "EU-AIA:annex-IV(2)(g)")
"""Duties that every check of an erasure bears on."""
KINDS = ("unlearning",)
RETRAIN = Remedy(
    parameter="unlearning.method", direction="set", value="rapid-retrain",
    text="Train anew without the forgotten data: rapid-retrain takes a quarter of the rounds and forgets exactly.",
)  # fmt: skip
MORE_MODELS = Remedy(
    parameter="effort", direction="raise", value="standard",
    text="Ask again at effort standard, which trains 64 models of each kind.",
)  # fmt: skip


def key_of(declared: ErasureRequest) -> str:
    """Return the key of the findings on a request."""
    return f"unlearning={declared.id}"


def asked(
    system: System,
    ctx: Context,
    answer: Callable[[System, Context, ErasureRequest], Finding],
    needed: tuple[str, ...] = ("after", "forget"),
) -> Iterator[Finding]:
    """Yield one finding an erasure request: the answer, or why it was not asked.

    Args:
        system: Under review.
        ctx: Of the check.
        answer: Gives the finding on a request.
        needed: Fields of the request that must be declared; `a|b` is either.
    """
    for declared in system.unlearning:
        if declared.kind == "llm":
            yield skip(ctx, declared, "The request is to a language model.", "not-applicable:kind-llm")
            continue
        lacking = [need for need in needed if not any(getattr(declared, one) for one in need.split("|"))]
        if lacking:
            told = f"The request declares no {' or '.join(lacking[0].split('|'))}, so nothing was asked."
            yield skip(ctx, declared, told, f"missing:unlearning.{lacking[0]}")
        else:
            yield answer(system, ctx, declared)


def asked_of_models(
    system: System,
    ctx: Context,
    answer: Callable[[System, Context, ErasureRequest], Finding],
    needed: tuple[str, ...] = ("after", "forget"),
) -> Iterator[Finding]:
    """Yield one finding an erasure request, as `asked`; for a check that must build models of the declared kind."""

    def built(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
        if delivered_of(system, ctx, declared).module is None:
            told = "What the model is, is not declared, or it is code that was not to be trusted, so none can be built."
            return skip(ctx, declared, told, "missing:model.layers")
        return answer(system, ctx, declared)

    yield from asked(system, ctx, built, needed)


def skip(ctx: Context, declared: ErasureRequest, told: str, reason: str) -> Finding:
    """Return that a request was not asked about, and why."""
    return ctx.finding(Status.SKIPPED, told, key=key_of(declared), severity=Severity.INFO, reason=reason)


def delivered_of(system: System, ctx: Context, declared: ErasureRequest) -> Delivered:
    """Return what was delivered for a request, read once a run."""
    return ctx.once(
        f"unlearning/{declared.id}/delivered",
        lambda: load_delivered(system, declared, ctx.folder, trust_code=ctx.options.trust_code),
    )


def evidence_of(system: System, ctx: Context, declared: ErasureRequest) -> Evidence:
    """Return the evidence on a request, gathered once a run."""
    cache = None if ctx.options.cache is None else FolderCache(ctx.options.cache)
    return ctx.once(
        f"unlearning/{declared.id}/evidence",
        lambda: gather(
            delivered_of(system, ctx, declared),
            effort=ctx.effort,
            seed=ctx.seed,
            executor=ctx.executor,
            cache=cache,
            models=ctx.options.oracles,
            report_progress=ctx.progress,
        ),
    )


def report_of(system: System, ctx: Context, declared: ErasureRequest) -> VerificationReport:
    """Return the verification of a request; its tests are computed when a check asks for them."""
    return ctx.once(
        f"unlearning/{declared.id}/report",
        lambda: VerificationReport(evidence_of(system, ctx, declared), replayed=lambda: _proven(system, ctx, declared)),
    )


def replay_of(system: System, ctx: Context, declared: ErasureRequest) -> Replay:
    """Return what came of running the unlearning again, run once a run."""
    return ctx.once(f"unlearning/{declared.id}/replay", lambda: replay(delivered_of(system, ctx, declared)))


def _proven(system: System, ctx: Context, declared: ErasureRequest) -> bool:
    """Tell whether an exact method gave the delivered bytes again; at smoke nothing is run again."""
    return ctx.effort is not Effort.SMOKE and replay_of(system, ctx, declared).proves_exactness


def setting(evidence: Evidence) -> tuple[str, ...]:
    """Return what the figures rest on, as limitations."""
    reference = evidence.reference
    told = []
    if reference.trained_by == "auditor" and reference.models:
        told.append(
            f"The {reference.models} references were trained by the auditor as the transcript's header says; that the "
            "federation trained so, only the replay can show."
        )
    if evidence.owner_code:
        told.append(
            "Every model starts from weights that the owner's code makes; what is in them nobody else has seen."
        )
    if reference.trained_by == "owner" and reference.models:
        told.append(f"The {reference.models} oracles are the owner's; nobody trained them again.")
    if reference.kind == "strict":
        told.append(
            "The method is not known here, so references were retrained by the recipe and trained on for the declared "
            "number of rounds."
        )
    if reference.kind == "matched" and reference.delivered_rounds is None:
        told.append("Without the transcript's rounds the delivered model's length could not be compared.")
    return (*told, *(f"Left out: {one}." for one in reference.dropped))
