"""Records read off the sum that a server sees.

A sum stops no exact attack by itself: a neuron that one record of one client alone activates hands it over, however
many clients there are. The attack is that of `audit.attacks.linear`, with as many joint reconstructions as the crowd
has records; where the first layer is not linear, and from effort standard on, gradient matching
(`audit.attacks.inversion`) searches all of them jointly beside it, under one verdict. Of a language model it is that of
`audit.attacks.text`. Silent clients hide nobody, and corrupt ones subtract their own part first.
"""

from collections.abc import Iterator
from functools import partial

from audit.answer import skipped, without_records
from audit.attacks.inversion import found_by_search
from audit.attacks.linear import read_off
from audit.attacks.text import Scope, read_texts, tensors_read
from audit.load import input_scale, planted_updates
from audit.load_text import holds_text, is_language_model, planted_texts
from audit.twin import Scale, readable_layers
from audit.view import visible
from reports.check import Context, check
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Strength, System

WITHOUT_NOISE = "the sum that the server gets, with the clients' noise, is not recorded"
"""Why a sum formed from updates recorded before their noise can clear a system, but not accuse it."""


@check(
    "attack.aggregate",
    "A sum over clients identifies nobody",
    needs=(
        "updates.truth",
        "model.layers|model.definition|extra:llm",
        "updates.aggregate|federation.visibility=aggregate",
    ),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:25(1)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def aggregate(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server can read single records off the sums that it sees, or find them in them.

    Fails and passes as `attack.linear` does, with every record of the crowd a candidate; a failure where one client
    alone contributes is critical. Inconclusive, too, where the sum that the server sees is not on record.
    """
    model = system.model
    described = model is not None and (model.layers is not None or model.definition is not None)
    if not described and not (is_language_model(system, ctx.folder) and holds_text(system, ctx.folder)):
        yield skipped(ctx, "Nothing says what the model is.", "no-architecture")
        return
    texts = None if described else planted_texts(system, ctx.folder, tensors_read)
    planted = texts or planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    seen = visible(system, planted.updates, ctx.rng("corrupt"))
    if not seen.sums:
        summary = seen.unrecorded or "No recorded sum has a planted record whose client contributes to it."
        yield without_records(ctx, summary, planted.excluded)
        return
    fewest = min(view.clients for view in seen.sums)
    clients = Measurement(
        name="effective_clients", value=float(fewest), n=len(seen.sums),
        method="clients that contribute and do not collude, the fewest of any sum",
    )  # fmt: skip
    mend = Remedy(
        parameter="federation.differential_privacy.noise_multiplier", direction="raise",
        text="Let the clients add noise to their shares of the sum, or sum over more active clients.",
    )  # fmt: skip
    where, limitations = "in sums over clients", (*seen.limitations, f"{len(seen.sums)} sums were read.")
    doubt, severity = WITHOUT_NOISE if seen.noise_missing else "", Severity.CRITICAL if fewest == 1 else None
    if texts is not None:
        scope = Scope(where, mend, limitations, (clients,), doubt, severity)
        yield read_texts(system, ctx, seen.sums, texts, scope)
        return
    scale, shape = Scale(*input_scale(system)), tuple(seen.sums[0].truth.x.shape[1:])
    first = readable_layers(seen.sums[0].base, shape, scale).first
    targets = seen.sums[0].truth.y.is_floating_point()  # the search asks for labels
    closed = targets or (first is not None and ctx.effort is Effort.SMOKE)
    yield (read_off if closed else partial(found_by_search, beside_linear=True))(
        system, ctx, seen.sums, planted.excluded, where, mend,
        limitations=limitations, measurements=[clients], doubt=doubt, severity=severity,
    )  # fmt: skip
